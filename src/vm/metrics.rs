// SPDX-License-Identifier: Apache-2.0
//! What a VM used, told once when it has ended: the kernel has counted all along, so nothing is
//! polled while the guest runs.

use std::fmt;
use std::time::Duration;
use vmm::accel::Acceleration;
use vmm::child::Usage;

/// What a VM used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metrics {
    /// From the start of its VMM to its end.
    pub(super) elapsed: Duration,
    /// How the guest's code was run.
    pub(super) accel: Acceleration,
    /// What the VMM used, the guest included.
    pub(super) usage: Usage,
}

impl Metrics {
    /// CPU time of the guest. Where its instructions are emulated the kernel cannot tell it from
    /// the VMM's own, of which there is little beside it.
    pub(super) fn guest_time(&self) -> Duration {
        match self.accel {
            Acceleration::Kvm => self.usage.guest_time,
            Acceleration::Emulation => self.usage.user_time,
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ran {:.1} s, guest CPU {:.2} s, VMM CPU {:.2} s, peak RSS {} MiB",
            self.elapsed.as_secs_f64(),
            self.guest_time().as_secs_f64(),
            (self.usage.user_time + self.usage.system_time).as_secs_f64(),
            self.usage.peak_rss_kib >> 10,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_time_is_counted_by_whom_it_can() {
        let usage = Usage {
            guest_time: Duration::from_secs(2),
            user_time: Duration::from_secs(3),
            system_time: Duration::from_secs(1),
            peak_rss_kib: 5 << 10,
        };
        let of = |accel| Metrics {
            elapsed: Duration::from_millis(6500),
            accel,
            usage,
        };
        assert_eq!(
            of(Acceleration::Kvm).to_string(),
            "ran 6.5 s, guest CPU 2.00 s, VMM CPU 4.00 s, peak RSS 5 MiB"
        );
        assert_eq!(
            of(Acceleration::Emulation).guest_time(),
            Duration::from_secs(3)
        );
    }
}
