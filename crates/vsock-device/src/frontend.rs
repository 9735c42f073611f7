// SPDX-License-Identifier: Apache-2.0
//! The VMM's requests: the guest's memory, its virtqueues, the configuration space.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll;
use vhost::VhostUserMemoryRegionBase;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight,
    VhostUserLog, VhostUserMemoryRegion, VhostUserProtocolFeatures, VhostUserShMemConfig,
    VhostUserSharedMsg, VhostUserSingleMemoryRegion, VhostUserVirtioFeatures,
    VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};
use virtio_queue::QueueT;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

use crate::ring::Ring;

/// Receive, transmit and event queue (virtio 1.2, section 5.10.2).
pub(crate) const QUEUES: usize = 3;
/// The tokens of the queues' kicks start here, in the order of the queues.
pub(crate) const FIRST_KICK: u64 = 8;

const VIRTIO_RING_F_INDIRECT_DESC: u64 = 1 << 28;
const VIRTIO_RING_F_EVENT_IDX: u64 = 1 << 29;
const VIRTIO_F_VERSION_1: u64 = 1 << 32;

/// A piece of guest memory as the VMM's own addresses see it.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    user: u64,
    guest: u64,
    size: u64,
}

/// What the VMM told about the guest so far.
#[derive(Debug)]
pub(crate) struct Frontend {
    guest_cid: u64,
    epoll: Arc<OwnedFd>,
    features: u64,
    memory: Option<GuestMemoryMmap>,
    mappings: Vec<Mapping>,
    rings: [Ring; QUEUES],
    /// Where each queue stood when it was last stopped.
    stopped_at: [Option<u16>; QUEUES],
    restarted: bool,
}

/// What the data path needs.
pub(crate) struct DataPath<'a> {
    pub(crate) memory: &'a GuestMemoryMmap,
    pub(crate) receive: &'a mut Ring,
    pub(crate) transmit: &'a mut Ring,
}

impl Frontend {
    pub(crate) fn new(guest_cid: u32, epoll: Arc<OwnedFd>) -> io::Result<Self> {
        let ring = || Ring::new().map_err(io::Error::other);
        Ok(Self {
            guest_cid: u64::from(guest_cid),
            epoll,
            features: 0,
            memory: None,
            mappings: Vec::new(),
            rings: [ring()?, ring()?, ring()?],
            stopped_at: [None; QUEUES],
            restarted: false,
        })
    }

    /// The guest's memory and queues, once its driver has started.
    pub(crate) fn data_path(&mut self) -> Option<DataPath<'_>> {
        let memory = self.memory.as_ref()?;
        let [receive, transmit, _] = &mut self.rings;
        (receive.queue.ready() && transmit.queue.ready()).then_some(DataPath {
            memory,
            receive,
            transmit,
        })
    }

    /// Whether the guest's driver started from scratch since the last call.
    ///
    /// A VM that is paused stops its queues too, but they go on where they stood.
    pub(crate) fn take_restarted(&mut self) -> bool {
        std::mem::take(&mut self.restarted)
    }

    fn ring(&mut self, index: u32) -> Result<&mut Ring> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.rings.get_mut(index))
            .ok_or(Error::InvalidParam)
    }

    /// The guest's address of what the VMM sees at `user`.
    fn guest_address(&self, user: u64) -> Result<u64> {
        self.mappings
            .iter()
            .find_map(|m| {
                user.checked_sub(m.user)
                    .filter(|&offset| offset < m.size)?
                    .checked_add(m.guest)
            })
            .ok_or(Error::InvalidParam)
    }

    /// Stops watching a kick; the VMM holds the same eventfd, so closing ours would not do.
    fn drop_kick(&mut self, index: u32) -> Result<()> {
        let ring = self.ring(index)?;
        ring.queue.set_ready(false);
        if let Some(kick) = ring.kick.take() {
            epoll::delete(&*self.epoll, &kick).map_err(|e| Error::ReqHandlerError(e.into()))?;
        }
        Ok(())
    }
}

impl VhostUserBackendReqHandlerMut for Frontend {
    fn set_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_device(&mut self) -> Result<()> {
        for ring in &mut self.rings {
            ring.enabled = false;
        }
        Ok(())
    }

    fn get_features(&mut self) -> Result<u64> {
        Ok(VIRTIO_F_VERSION_1
            | VIRTIO_RING_F_INDIRECT_DESC
            | VIRTIO_RING_F_EVENT_IDX
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits())
    }

    fn set_features(&mut self, features: u64) -> Result<()> {
        if features & !self.get_features()? != 0 {
            return Err(Error::InvalidParam);
        }
        self.features = features;
        for ring in &mut self.rings {
            ring.queue
                .set_event_idx(features & VIRTIO_RING_F_EVENT_IDX != 0);
            // Without protocol features there is no request to enable a queue.
            ring.enabled |= features & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() == 0;
        }
        Ok(())
    }

    fn set_mem_table(
        &mut self,
        regions: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _postcopy: Option<bool>,
    ) -> Result<Option<Vec<VhostUserMemoryRegionBase>>> {
        let mut mapped = Vec::with_capacity(regions.len());
        let mut mappings = Vec::with_capacity(regions.len());
        for (region, file) in regions.iter().zip(files) {
            let start = GuestAddress(region.guest_phys_addr);
            mapped.push(
                GuestRegionMmap::new(region.mmap_region(file)?, start)
                    .ok_or(Error::InvalidParam)?,
            );
            mappings.push((
                region.guest_phys_addr,
                Mapping {
                    user: region.user_addr,
                    guest: region.guest_phys_addr,
                    size: region.memory_size,
                },
            ));
        }
        mapped.sort_by_key(|region| vm_memory::GuestMemoryRegion::start_addr(region).0);
        let memory = GuestMemoryMmap::from_regions(mapped)
            .map_err(|e| Error::ReqHandlerError(io::Error::other(e)))?;
        self.memory = Some(memory);
        self.mappings = mappings.into_iter().map(|(_, mapping)| mapping).collect();
        for ring in &mut self.rings {
            ring.checked = false;
        }
        Ok(None)
    }

    fn set_vring_num(&mut self, index: u32, num: u32) -> Result<()> {
        let size = u16::try_from(num).map_err(|_| Error::InvalidParam)?;
        let ring = self.ring(index)?;
        ring.checked = false;
        ring.queue
            .try_set_size(size)
            .map_err(|_| Error::InvalidParam)
    }

    fn set_vring_addr(
        &mut self,
        index: u32,
        _flags: VhostUserVringAddrFlags,
        descriptor: u64,
        used: u64,
        available: u64,
        _log: u64,
    ) -> Result<()> {
        let table = GuestAddress(self.guest_address(descriptor)?);
        let avail_ring = GuestAddress(self.guest_address(available)?);
        let used_ring = GuestAddress(self.guest_address(used)?);
        let memory = self.memory.take().ok_or(Error::InvalidParam)?;
        let ring = self.ring(index)?;
        ring.checked = false;
        ring.broken = false;
        let queue = &mut ring.queue;
        let used_index = queue
            .try_set_desc_table_address(table)
            .and_then(|()| queue.try_set_avail_ring_address(avail_ring))
            .and_then(|()| queue.try_set_used_ring_address(used_ring))
            .and_then(|()| queue.used_idx(&memory, std::sync::atomic::Ordering::Relaxed));
        // The VMM only tells where the driver stands; where the device stands is in the ring.
        if let Ok(used_index) = used_index {
            queue.set_next_used(used_index.0);
        }
        self.memory = Some(memory);
        used_index.map(|_| ()).map_err(|_| Error::InvalidParam)
    }

    fn set_vring_base(&mut self, index: u32, base: u32) -> Result<()> {
        let base = u16::try_from(base).map_err(|_| Error::InvalidParam)?;
        self.ring(index)?.queue.set_next_avail(base);
        let stopped_at = usize::try_from(index)
            .ok()
            .and_then(|index| self.stopped_at.get(index));
        self.restarted |= stopped_at
            .copied()
            .flatten()
            .is_some_and(|stopped_at| stopped_at != base);
        Ok(())
    }

    fn get_vring_base(&mut self, index: u32) -> Result<VhostUserVringState> {
        self.drop_kick(index)?;
        let ring = self.ring(index)?;
        ring.call = None;
        let next = ring.queue.next_avail();
        if let Some(stopped_at) = usize::try_from(index)
            .ok()
            .and_then(|i| self.stopped_at.get_mut(i))
        {
            *stopped_at = Some(next);
        }
        Ok(VhostUserVringState::new(index, u32::from(next)))
    }

    fn set_vring_kick(&mut self, index: u8, kick: Option<File>) -> Result<()> {
        let index = u32::from(index);
        self.drop_kick(index)?;
        if let Some(kick) = kick {
            let token = epoll::EventData::new_u64(FIRST_KICK + u64::from(index));
            // Each write is an edge, so that the counter need not be read.
            epoll::add(
                &*self.epoll,
                &kick,
                token,
                epoll::EventFlags::IN | epoll::EventFlags::ET,
            )
            .map_err(|e| Error::ReqHandlerError(e.into()))?;
            let ring = self.ring(index)?;
            ring.kick = Some(kick);
            ring.broken = false;
            ring.queue.set_ready(true);
        }
        Ok(())
    }

    fn set_vring_call(&mut self, index: u8, call: Option<File>) -> Result<()> {
        if let Some(call) = &call {
            // Another holder of the eventfd must not be able to block this process.
            let flags =
                rustix::fs::fcntl_getfl(call).map_err(|e| Error::ReqHandlerError(e.into()))?;
            rustix::fs::fcntl_setfl(call, flags | rustix::fs::OFlags::NONBLOCK)
                .map_err(|e| Error::ReqHandlerError(e.into()))?;
            // The queue may have been used while there was nobody to tell; one interrupt too many
            // does no harm. The counter of an eventfd does not run full by this.
            let _ = rustix::io::write(call, &1_u64.to_ne_bytes());
        }
        self.ring(u32::from(index))?.call = call;
        Ok(())
    }

    fn set_vring_err(&mut self, index: u8, _fd: Option<File>) -> Result<()> {
        self.ring(u32::from(index)).map(|_| ())
    }

    fn get_protocol_features(&mut self) -> Result<VhostUserProtocolFeatures> {
        Ok(VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::MQ)
    }

    fn set_protocol_features(&mut self, _features: u64) -> Result<()> {
        Ok(())
    }

    fn get_queue_num(&mut self) -> Result<u64> {
        u64::try_from(QUEUES).map_err(|_| Error::BackendInternalError)
    }

    fn set_vring_enable(&mut self, index: u32, enable: bool) -> Result<()> {
        self.ring(index)?.enabled = enable;
        Ok(())
    }

    /// The configuration space holds the guest's CID (virtio 1.2, section 5.10.4).
    fn get_config(
        &mut self,
        offset: u32,
        size: u32,
        _flags: VhostUserConfigFlags,
    ) -> Result<Vec<u8>> {
        let config = self.guest_cid.to_le_bytes();
        let start = usize::try_from(offset).map_err(|_| Error::InvalidParam)?;
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| start.checked_add(size))
            .ok_or(Error::InvalidParam)?;
        config
            .get(start..end)
            .map(<[u8]>::to_vec)
            .ok_or(Error::InvalidParam)
    }

    fn set_config(
        &mut self,
        _offset: u32,
        _buf: &[u8],
        _flags: VhostUserConfigFlags,
    ) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn set_gpu_socket(&mut self, _gpu_backend: GpuBackend) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_shared_object(&mut self, _uuid: VhostUserSharedMsg) -> Result<File> {
        Err(NOT_OFFERED)
    }

    fn get_inflight_fd(
        &mut self,
        _inflight: &VhostUserInflight,
    ) -> Result<(VhostUserInflight, File)> {
        Err(NOT_OFFERED)
    }

    fn set_inflight_fd(&mut self, _inflight: &VhostUserInflight, _file: File) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_max_mem_slots(&mut self) -> Result<u64> {
        Err(NOT_OFFERED)
    }

    fn add_mem_region(
        &mut self,
        _region: &VhostUserSingleMemoryRegion,
        _fd: File,
        _postcopy: Option<bool>,
    ) -> Result<Option<VhostUserMemoryRegionBase>> {
        Err(NOT_OFFERED)
    }

    fn remove_mem_region(&mut self, _region: &VhostUserSingleMemoryRegion) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn set_device_state_fd(
        &mut self,
        _direction: VhostTransferStateDirection,
        _phase: VhostTransferStatePhase,
        _fd: File,
    ) -> Result<Option<File>> {
        Err(NOT_OFFERED)
    }

    fn check_device_state(&mut self) -> Result<()> {
        Err(NOT_OFFERED)
    }

    fn get_shmem_config(&mut self) -> Result<VhostUserShMemConfig> {
        Err(NOT_OFFERED)
    }

    fn set_log_base(&mut self, _log: &VhostUserLog, _file: File) -> Result<()> {
        Err(NOT_OFFERED)
    }
}

/// The answer to requests that belong to features the device does not offer.
const NOT_OFFERED: Error = Error::InvalidOperation("not offered by this device");
