// SPDX-License-Identifier: Apache-2.0
package android.system.virtualizationservice;

import android.system.virtualizationservice.IVirtualMachineCallback;
import android.system.virtualizationservice.VirtualMachineState;

/** One VM. Dropping the last reference to this object kills the VM. */
interface IVirtualMachine {
    /** The VM's vsock address. */
    int getCid();

    /** What the VM and its payload are doing at the moment. */
    VirtualMachineState getState();

    /** Adds a listener, which is kept until its process ends. */
    void registerCallback(IVirtualMachineCallback callback);

    /** Starts the VM; a VM can be started once. */
    void start();

    /** Kills the VM and returns when it is gone. */
    void stop();

    /** The size of the memory balloon in bytes. */
    long getMemoryBalloon();

    /** Asks the guest to inflate its memory balloon to this many bytes. */
    void setMemoryBalloon(long num_bytes);

    /** Connects to a vsock port of the guest and hands the stream over. */
    ParcelFileDescriptor connectVsock(int port);

    /** Notes the path of the terminal on which the console is shown. */
    void setHostConsoleName(in @utf8InCpp String pathname);

    /** Freezes the virtual CPUs. */
    void suspend();

    /** Lets the virtual CPUs go on. */
    void resume();
}
