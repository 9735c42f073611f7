// SPDX-License-Identifier: Apache-2.0
//! Graphics, input and sound. Texts of the client's go onto a command line whose values are
//! separated by punctuation, so they must have none of it.

use super::invalid;
use crate::error::Error;
use crate::fd::duplicate;
use avf_aidl::service::{AudioConfig, DisplayConfig, GpuConfig, InputDevice};
use rsbinder::ParcelFileDescriptor;
use rustix::fs::{FileType, fstat};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use vmm::plan::{Audio, Display, Gpu, Input, InputKind, Surface};

/// What texts may have besides ASCII letters and digits.
const PUNCTUATION: &str = "_-.:;";
/// Longest text, in bytes.
const MAX_TEXT: usize = 255;
/// The most input devices that a VM may have.
const MAX_INPUTS: usize = 32;

/// The display of `displayConfig`.
pub(super) fn display(config: &DisplayConfig) -> Result<Display, Error> {
    let positive = |name: &str, value: i32| {
        u32::try_from(value)
            .ok()
            .and_then(NonZeroU32::new)
            .ok_or_else(|| {
                invalid(format!(
                    "displayConfig.{name} {value}: it must be more than 0"
                ))
            })
    };
    Ok(Display {
        width: positive("width", config.width)?,
        height: positive("height", config.height)?,
        horizontal_dpi: positive("horizontalDpi", config.horizontalDpi)?,
        vertical_dpi: positive("verticalDpi", config.verticalDpi)?,
        refresh_rate: positive("refreshRate", config.refreshRate)?,
    })
}

/// The graphics processor of `gpuConfig`.
pub(super) fn gpu(config: &GpuConfig) -> Result<Gpu, Error> {
    let plain = |name: &str, value: &Option<String>| {
        value
            .as_deref()
            .map(|value| text(&format!("gpuConfig.{name}"), value))
            .transpose()
    };
    let context_types = config
        .contextTypes
        .as_ref()
        .map(|types| {
            types
                .iter()
                .enumerate()
                .map(|(index, name)| {
                    let name = name.as_deref().unwrap_or_default();
                    text(&format!("gpuConfig.contextTypes[{index}]"), name)
                })
                .collect::<Result<Vec<_>, _>>()
        })
        .transpose()?
        .filter(|types| !types.is_empty());
    let renderers = [
        (config.rendererUseEgl, "egl"),
        (config.rendererUseGles, "gles"),
        (config.rendererUseGlx, "glx"),
        (config.rendererUseSurfaceless, "surfaceless"),
        (config.rendererUseVulkan, "vulkan"),
    ];
    Ok(Gpu {
        backend: plain("backend", &config.backend)?,
        context_types,
        pci_address: plain("pciAddress", &config.pciAddress)?,
        renderer_features: plain("rendererFeatures", &config.rendererFeatures)?,
        renderers: renderers
            .into_iter()
            .filter_map(|(used, name)| used.then_some(name))
            .collect(),
    })
}

/// A text that cannot be taken for anything but a value.
fn text(field: &str, value: &str) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || PUNCTUATION.contains(c);
    if value.is_empty() || value.len() > MAX_TEXT || !value.chars().all(fits) {
        return Err(invalid(format!(
            "{field} {value:?}: it must have 1 to {MAX_TEXT} letters, digits or any of {PUNCTUATION}"
        )));
    }
    Ok(value.to_owned())
}

/// The sound card of `audioConfig`; none if it neither plays nor records.
pub(super) fn audio(config: &AudioConfig) -> Option<Audio> {
    (config.useMicrophone || config.useSpeaker).then_some(Audio {
        microphone: config.useMicrophone,
        speaker: config.useSpeaker,
    })
}

/// The input devices of `inputDevices`.
pub(super) fn inputs(devices: &[InputDevice]) -> Result<Vec<Input>, Error> {
    if devices.len() > MAX_INPUTS {
        return Err(invalid(format!(
            "inputDevices: there are {}, at most {MAX_INPUTS} are allowed",
            devices.len()
        )));
    }
    devices
        .iter()
        .enumerate()
        .map(|(index, device)| input(&format!("inputDevices[{index}]"), device))
        .collect()
}

fn input(field: &str, device: &InputDevice) -> Result<Input, Error> {
    let area = |width, height, name: &str| surface(field, width, height, name);
    let (pfd, kind) = match device {
        InputDevice::EvDev(it) => (&it.pfd, InputKind::EvDev),
        InputDevice::Keyboard(it) => (&it.pfd, InputKind::Keyboard),
        InputDevice::Mouse(it) => (&it.pfd, InputKind::Mouse),
        InputDevice::Switches(it) => (&it.pfd, InputKind::Switches),
        InputDevice::SingleTouch(it) => (
            &it.pfd,
            InputKind::SingleTouch(area(it.width, it.height, &it.name)?),
        ),
        InputDevice::MultiTouch(it) => (
            &it.pfd,
            InputKind::MultiTouch(area(it.width, it.height, &it.name)?),
        ),
        InputDevice::Trackpad(it) => (
            &it.pfd,
            InputKind::Trackpad(area(it.width, it.height, &it.name)?),
        ),
    };
    let source = source(field, pfd.as_ref(), &kind)?;
    Ok(Input { kind, source })
}

fn surface(field: &str, width: i32, height: i32, name: &str) -> Result<Surface, Error> {
    let size = |what: &str, value: i32| {
        u32::try_from(value)
            .ok()
            .filter(|value| *value > 0)
            .ok_or_else(|| invalid(format!("{field}.{what} {value}: it must be more than 0")))
    };
    Ok(Surface {
        width: size("width", width)?,
        height: size("height", height)?,
        name: if name.is_empty() {
            String::new()
        } else {
            text(&format!("{field}.name"), name)?
        },
    })
}

/// Where the events come from: an event device of the host, else a socket.
fn source(
    field: &str,
    pfd: Option<&ParcelFileDescriptor>,
    kind: &InputKind,
) -> Result<OwnedFd, Error> {
    let field = format!("{field}.pfd");
    let fd = duplicate(
        &field,
        pfd.ok_or_else(|| invalid(format!("{field}: it is missing")))?,
    )?;
    let stat = fstat(&fd).map_err(|e| Error::io(format!("cannot stat {field}"), e))?;
    let (wanted, name) = match kind {
        InputKind::EvDev => (FileType::CharacterDevice, "an event device of the host"),
        _ => (FileType::Socket, "a socket on which the events arrive"),
    };
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(invalid(format!("{field}: it must be {name}")));
    }
    Ok(fd)
}
