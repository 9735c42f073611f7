// SPDX-License-Identifier: Apache-2.0
//! Graphics, input, sound, network and devices of the host.

use super::abilities::Abilities;
use super::{Dialect, unsupported};
use crate::Error;
use crate::launch::Launch;
use crate::plan::{Assigned, Audio, Display, Gpu, Input, InputKind, Surface};
use rustix::fs::OFlags;
use std::os::fd::OwnedFd;

/// Adds the graphics processor and the display.
pub(super) fn graphics(
    launch: &mut Launch,
    dialect: &Dialect,
    abilities: &Abilities,
    name: &str,
    gpu: Option<&Gpu>,
    display: Option<&Display>,
) -> Result<(), Error> {
    let field = match (gpu, display) {
        (Some(_), _) => "gpuConfig",
        (None, Some(_)) => "displayConfig",
        (None, None) => return Ok(()),
    };
    abilities.option("--gpu", "gpu", field)?;
    match display {
        None => {
            launch.args(gpu.map(gpu_alone));
        }
        Some(display) => {
            launch.args((dialect.display)(display, gpu));
            if dialect.display_service {
                launch.arg(format!("--android-display-service={name}"));
            }
        }
    }
    Ok(())
}

fn gpu_alone(gpu: &Gpu) -> String {
    format!("--gpu={}", gpu_values(gpu).join(","))
}

/// A display by an option of its own.
pub(super) fn gpu_display(display: &Display, gpu: Option<&Gpu>) -> Vec<String> {
    let mut arguments: Vec<_> = gpu.map(gpu_alone).into_iter().collect();
    arguments.push(format!("--gpu-display={}", display_values(display)));
    arguments
}

/// A display as a value of the graphics processor, which replaces the option of its own.
pub(super) fn gpu_with_displays(display: &Display, gpu: Option<&Gpu>) -> Vec<String> {
    let mut values = gpu.map(gpu_values).unwrap_or_default();
    values.push(format!("displays=[[{}]]", display_values(display)));
    vec![format!("--gpu={}", values.join(","))]
}

pub(super) fn display_values(display: &Display) -> String {
    format!(
        "mode=windowed[{},{}],dpi=[{},{}],refresh-rate={}",
        display.width,
        display.height,
        display.horizontal_dpi,
        display.vertical_dpi,
        display.refresh_rate
    )
}

fn gpu_values(gpu: &Gpu) -> Vec<String> {
    let types = gpu.context_types.as_ref().map(|types| types.join(":"));
    let named = [
        ("backend", gpu.backend.as_ref()),
        ("context-types", types.as_ref()),
        ("pci-address", gpu.pci_address.as_ref()),
        ("renderer-features", gpu.renderer_features.as_ref()),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")))
        .chain(gpu.renderers.iter().map(|name| format!("{name}=true")))
        .collect()
}

/// Adds the compositor that shows the displays. A socket in a file system is connected to by its
/// path. One that is connected already is left to the Wayland library, which takes it from the
/// environment whatever path it is told.
pub(super) fn wayland(launch: &mut Launch, socket: Option<OwnedFd>) -> Result<(), Error> {
    let Some(socket) = socket else { return Ok(()) };
    let flags = rustix::fs::fcntl_getfl(&socket)
        .map_err(|e| Error::io("gpuConfig.waylandSocketFd: cannot read its flags", e))?;
    let fd = launch.pass(socket);
    launch.args(["--wayland-sock", &format!("/proc/self/fd/{fd}")]);
    if !flags.contains(OFlags::PATH) {
        launch.variable("WAYLAND_SOCKET", fd.to_string());
    }
    Ok(())
}

/// Adds the network.
pub(super) fn network(launch: &mut Launch, tap: Option<OwnedFd>) {
    if let Some(tap) = tap {
        let fd = launch.pass(tap);
        launch.args(["--net", &format!("tap-fd={fd}")]);
    }
}

/// Adds the input devices.
pub(super) fn inputs(launch: &mut Launch, inputs: Vec<Input>) {
    for input in inputs {
        let path = launch.pass_path(input.source);
        let surface = |surface: &Surface| {
            let mut values = format!(",width={},height={}", surface.width, surface.height);
            if !surface.name.is_empty() {
                values.push_str(",name=");
                values.push_str(&surface.name);
            }
            values
        };
        let (kind, more) = match &input.kind {
            InputKind::EvDev => ("evdev", String::new()),
            InputKind::Keyboard => ("keyboard", String::new()),
            InputKind::Mouse => ("mouse", String::new()),
            InputKind::Switches => ("switches", String::new()),
            InputKind::SingleTouch(area) => ("single-touch", surface(area)),
            InputKind::MultiTouch(area) => ("multi-touch", surface(area)),
            InputKind::Trackpad(area) => ("multi-touch-trackpad", surface(area)),
        };
        launch.args(["--input", &format!("{kind}[path={path}{more}]")]);
    }
}

/// Adds the devices of the host.
pub(super) fn assigned(launch: &mut Launch, assigned: Option<Assigned>) {
    let Some(assigned) = assigned else { return };
    let dtbo = launch.pass_path(assigned.dtbo.into());
    launch.arg(format!("--device-tree-overlay={dtbo},filter"));
    for device in assigned.devices {
        launch.arg(format!(
            "--vfio={},iommu=pkvm-iommu,dt-symbol={}",
            device.path.display(),
            device.label
        ));
    }
}

/// Adds the sound card.
pub(super) fn audio(
    launch: &mut Launch,
    dialect: &Dialect,
    audio: Option<Audio>,
) -> Result<(), Error> {
    let Some(audio) = audio else { return Ok(()) };
    let backend = dialect.audio_backend.ok_or_else(|| {
        unsupported("audioConfig: crosvm has no audio backend on this platform".into())
    })?;
    launch.args([
        "--virtio-snd",
        &format!(
            "backend={backend},num_input_devices={},num_output_devices={}",
            u8::from(audio.microphone),
            u8::from(audio.speaker)
        ),
    ]);
    Ok(())
}
