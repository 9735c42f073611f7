// SPDX-License-Identifier: Apache-2.0
//! Graphics, input and sound. Texts of the client's go onto a command line whose values are
//! separated by punctuation, so they must have none of it.

use super::invalid;
use crate::error::Error;
use crate::fd::duplicate;
use avf_aidl::service::{
    AudioConfig, DisplayConfig, GpuConfig, InputDevice, VirtualMachineRawConfig,
};
use rsbinder::ParcelFileDescriptor;
use rustix::fs::{FileType, fstat};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use vmm::plan::{Audio, Display, Gpu, Input, InputKind, Surface};

/// What texts may have besides ASCII letters and digits.
const PUNCTUATION: &str = "_-.:;";
/// Longest text, in bytes.
const MAX_TEXT: usize = 255;
/// The most USB devices that a VM may have: a controller's ports.
const MAX_USB_DEVICES: usize = 8;
/// The most input devices that a VM may have.
const MAX_INPUTS: usize = 32;

/// The display of `displayConfig`.
pub(crate) fn display(config: &DisplayConfig) -> Result<Display, Error> {
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

/// The socket of `gpuConfig.waylandSocketFd`.
pub(super) fn compositor(config: &GpuConfig) -> Result<Option<OwnedFd>, Error> {
    let field = "gpuConfig.waylandSocketFd";
    let Some(given) = &config.waylandSocketFd else {
        return Ok(None);
    };
    let fd = duplicate(field, given)?;
    let stat = fstat(&fd).map_err(|e| Error::io(format!("cannot stat {field}"), e))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(invalid(format!(
            "{field}: it must be a socket of a Wayland compositor"
        )));
    }
    Ok(Some(fd))
}

/// The vendor and product numbers of the devices in `usbConfig.devices`.
///
/// # Errors
/// [`Kind::Invalid`](crate::error::Kind::Invalid) if one has another form, there are too many, or the
/// guest has no controller to plug them into.
pub fn usb_devices(config: &VirtualMachineRawConfig) -> Result<Vec<(u16, u16)>, Error> {
    let Some(usb) = &config.usbConfig else {
        return Ok(Vec::new());
    };
    let devices = &usb.devices;
    if !devices.is_empty() && !usb.controller {
        return Err(invalid(
            "usbConfig.devices: the guest has no controller for them; set usbConfig.controller"
                .into(),
        ));
    }
    if devices.len() > MAX_USB_DEVICES {
        return Err(invalid(format!(
            "usbConfig.devices: there are {}, at most {MAX_USB_DEVICES} are allowed",
            devices.len()
        )));
    }
    devices
        .iter()
        .enumerate()
        .map(|(index, text)| {
            usb_device(text).ok_or_else(|| {
                invalid(format!(
                    "usbConfig.devices[{index}] \"{}\": it must be vendor:product, each of 1 to 4 hexadecimal digits",
                    text.escape_default()
                ))
            })
        })
        .collect()
}

/// The two numbers of one device.
fn usb_device(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        // A sign would be taken as well.
        let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u16::from_str_radix(text, 16).ok()?;
        (is_hexadecimal && text.len() <= 4).then_some(number)
    };
    let (vendor, product) = text.split_once(':')?;
    Some((number(vendor)?, number(product)?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use avf_aidl::service::UsbConfig;
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    fn config(controller: bool, devices: &[&str]) -> VirtualMachineRawConfig {
        VirtualMachineRawConfig {
            usbConfig: Some(UsbConfig {
                controller,
                devices: devices.iter().map(ToString::to_string).collect(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn usb_devices_are_two_hexadecimal_numbers() {
        let devices = usb_devices(&config(true, &["18d1:4EE7", "1:2"])).unwrap();
        assert_eq!(devices, [(0x18d1, 0x4ee7), (1, 2)]);
        assert!(
            usb_devices(&VirtualMachineRawConfig::default())
                .unwrap()
                .is_empty()
        );
        for bad in [
            "",
            "18d1",
            "18d1:",
            ":1",
            "18d1:4ee7:1",
            "+1:2",
            "12345:1",
            "g:1",
        ] {
            let error = usb_devices(&config(true, &["1:2", bad])).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("usbConfig.devices[1] \"{bad}\": ")),
                "{text}"
            );
        }
        let error = usb_devices(&config(false, &["1:2"])).unwrap_err();
        assert!(error.to_string().contains("set usbConfig.controller"));
        usb_devices(&config(true, &["1:2"; 9])).unwrap_err();
    }

    #[test]
    fn a_compositor_is_a_socket() {
        let with = |fd| {
            compositor(&GpuConfig {
                waylandSocketFd: Some(fd),
                ..Default::default()
            })
        };
        let (client, _compositor) = UnixStream::pair().unwrap();
        assert!(with(ParcelFileDescriptor::new(client)).unwrap().is_some());
        let null = ParcelFileDescriptor::new(File::open("/dev/null").unwrap());
        assert_eq!(with(null).unwrap_err().kind(), Kind::Invalid);
    }
}
