// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

/** An input device, fed with evdev events by the client. */
union InputDevice {
    /** A touch screen for one finger. Sizes in pixels. */
    parcelable SingleTouch {
        ParcelFileDescriptor pfd;
        int width = 1280;
        int height = 1080;
        @utf8InCpp String name = "";
    }

    /** A host evdev node that is passed through. */
    parcelable EvDev {
        ParcelFileDescriptor pfd;
    }

    /** A keyboard. */
    parcelable Keyboard {
        ParcelFileDescriptor pfd;
    }

    /** A mouse. */
    parcelable Mouse {
        ParcelFileDescriptor pfd;
    }

    /** A set of switches, such as a lid. */
    parcelable Switches {
        ParcelFileDescriptor pfd;
    }

    /** A trackpad. Sizes in pixels. */
    parcelable Trackpad {
        ParcelFileDescriptor pfd;
        int width = 1280;
        int height = 1080;
        @utf8InCpp String name = "";
    }

    /** A touch screen for several fingers. Sizes in pixels. */
    parcelable MultiTouch {
        ParcelFileDescriptor pfd;
        int width = 1280;
        int height = 1080;
        @utf8InCpp String name = "";
    }

    SingleTouch singleTouch;
    EvDev evDev;
    Keyboard keyboard;
    Mouse mouse;
    Switches switches;
    Trackpad trackpad;
    MultiTouch multiTouch;
}
