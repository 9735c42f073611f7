// SPDX-License-Identifier: Apache-2.0
//! Devices: those of the host that a guest gets, graphics, input, sound, USB.

use super::{Read, Reader};
use crate::release::field;
use avf_aidl::service::input_device::{
    EvDev, Keyboard, Mouse, MultiTouch, SingleTouch, Switches, Trackpad,
};
use avf_aidl::service::{
    AssignableDeviceSelector, AudioConfig, DisplayConfig, GpuConfig, InputDevice, UsbConfig,
};
use rsbinder::ParcelFileDescriptor;

/// What a config says of the host's devices.
pub(super) enum Devices {
    /// Which of them the guest gets.
    Chosen(Vec<AssignableDeviceSelector>),
    /// An overlay of the device tree instead, which Android 17.1 has in a field of its own.
    Overlay(Option<ParcelFileDescriptor>),
}

/// `devices`: paths up to Android 15, paths or an overlay in 16 and 17, selectors in 17.1.
pub(super) fn assigned(r: &mut Reader<'_>) -> Read<Devices> {
    if r.has(field::V17_1) {
        let name = "deviceAssignmentConfig";
        return r.parcelable(name, |r| r.list(name, selector).map(Devices::Chosen));
    }
    if r.has(field::V16) && r.tag("devices", 2)? == 1 {
        return r.file("devices.dtbo").map(Devices::Overlay);
    }
    paths(r, "devices").map(Devices::Chosen)
}

/// Devices by their paths, or by selectors.
pub(super) fn selectors(r: &mut Reader<'_>) -> Read<Vec<AssignableDeviceSelector>> {
    let name = "customConfig.devices";
    if r.has(field::V17_1) {
        r.list(name, selector)
    } else {
        paths(r, name)
    }
}

fn paths(r: &mut Reader<'_>, name: &'static str) -> Read<Vec<AssignableDeviceSelector>> {
    r.list(name, |r| r.text(name).map(AssignableDeviceSelector::ByPath))
}

fn selector(r: &mut Reader<'_>) -> Read<AssignableDeviceSelector> {
    let name = "devices";
    Ok(match r.tag(name, 2)? {
        0 => AssignableDeviceSelector::ByLabel(r.text(name)?),
        _ => AssignableDeviceSelector::ByPath(r.text(name)?),
    })
}

pub(super) fn display(r: &mut Reader<'_>) -> Read<DisplayConfig> {
    Ok(DisplayConfig {
        width: r.int("displayConfig.width")?,
        height: r.int("displayConfig.height")?,
        horizontalDpi: r.int("displayConfig.horizontalDpi")?,
        verticalDpi: r.int("displayConfig.verticalDpi")?,
        refreshRate: r.int("displayConfig.refreshRate")?,
    })
}

pub(super) fn gpu(r: &mut Reader<'_>) -> Read<GpuConfig> {
    Ok(GpuConfig {
        backend: r.nullable_text("gpuConfig.backend")?,
        contextTypes: context_types(r)?,
        pciAddress: r.nullable_text("gpuConfig.pciAddress")?,
        rendererFeatures: r.nullable_text("gpuConfig.rendererFeatures")?,
        rendererUseEgl: r.boolean("gpuConfig.rendererUseEgl")?,
        rendererUseGles: r.boolean("gpuConfig.rendererUseGles")?,
        rendererUseGlx: r.boolean("gpuConfig.rendererUseGlx")?,
        rendererUseSurfaceless: r.boolean("gpuConfig.rendererUseSurfaceless")?,
        rendererUseVulkan: r.boolean("gpuConfig.rendererUseVulkan")?,
        waylandSocketFd: if r.has(field::V17_1) {
            r.nullable_file("gpuConfig.waylandSocketFd")?
        } else {
            None
        },
    })
}

/// Names that may each be null, in a list that may be null.
fn context_types(r: &mut Reader<'_>) -> Read<Option<Vec<Option<String>>>> {
    let name = "gpuConfig.contextTypes";
    if r.is_null_list() {
        r.int(name)?;
        return Ok(None);
    }
    r.list(name, |r| r.nullable_text(name)).map(Some)
}

pub(super) fn audio(r: &mut Reader<'_>) -> Read<AudioConfig> {
    Ok(AudioConfig {
        useMicrophone: r.boolean("audioConfig.useMicrophone")?,
        useSpeaker: r.boolean("audioConfig.useSpeaker")?,
    })
}

pub(super) fn usb(r: &mut Reader<'_>) -> Read<UsbConfig> {
    Ok(UsbConfig {
        controller: r.boolean("usbConfig.controller")?,
        devices: if r.has(field::V17_1) {
            r.list("usbConfig.devices", |r| r.text("usbConfig.devices"))?
        } else {
            Vec::new()
        },
    })
}

pub(super) fn input(r: &mut Reader<'_>) -> Read<InputDevice> {
    let kinds = if r.has(field::QPR1) { 7 } else { 4 };
    let kind = r.tag("inputDevices", kinds)?;
    r.parcelable("inputDevices", |r| {
        let pfd = r.file("inputDevices.pfd")?;
        Ok(match kind {
            0 => {
                let (width, height, name) = surface(r)?;
                InputDevice::SingleTouch(SingleTouch {
                    pfd,
                    width,
                    height,
                    name,
                })
            }
            1 => InputDevice::EvDev(EvDev { pfd }),
            2 => InputDevice::Keyboard(Keyboard { pfd }),
            3 => InputDevice::Mouse(Mouse { pfd }),
            4 => InputDevice::Switches(Switches { pfd }),
            5 => {
                let (width, height, name) = surface(r)?;
                InputDevice::Trackpad(Trackpad {
                    pfd,
                    width,
                    height,
                    name,
                })
            }
            _ => {
                let (width, height, name) = surface(r)?;
                InputDevice::MultiTouch(MultiTouch {
                    pfd,
                    width,
                    height,
                    name,
                })
            }
        })
    })
}

/// Width, height and name of a surface that is touched.
fn surface(r: &mut Reader<'_>) -> Read<(i32, i32, String)> {
    Ok((
        r.int("inputDevices.width")?,
        r.int("inputDevices.height")?,
        r.text("inputDevices.name")?,
    ))
}
