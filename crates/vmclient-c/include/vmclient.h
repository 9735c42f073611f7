/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C interface of the client library for VM managers.
 *
 * A program that has an RPC binder library of its own gets from here the socket over which that
 * library reaches android.system.virtualizationservice.IVirtualizationService. Link with
 * -lvmclient_c; for the static library add -lpthread -ldl -lm -lgcc_s.
 *
 * Generated from crates/vmclient-c/src by cbindgen; change it there.
 */

#ifndef VMCLIENT_H
#define VMCLIENT_H



/**
 * Called with the reason for a failure, on the caller's thread and before the failed call returns.
 *
 * `code` is a number of <errno.h>. `message` is one line of UTF-8 that ends with a NUL; it is valid
 * only until the callback returns. `ctx` is what the caller passed. The callback must return
 * normally: neither longjmp nor a C++ exception may leave it.
 */
typedef void (*avf_error_callback)(int code, const char *message, void *ctx);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Starts a VM manager, `virtmgr`, for the calling process and waits until it is ready.
 *
 * The program is looked for beside the running one, in /apex/com.android.virt/bin and in PATH; not
 * in PATH if the calling program runs with raised privileges.
 *
 * Returns the client's end of the bootstrap socket: a Unix stream socket, close-on-exec. It
 * belongs to the caller, who passes it to ARpcSession_setupUnixDomainBootstrapClient and closes it.
 * When the last copy of it is closed, the manager ends, and its VMs with it.
 *
 * Returns a negative number, -code, if that fails, after calling `callback` once; `callback` may
 * be NULL. The codes to expect:
 *
 *   ENOENT         there is no such program
 *   EACCES, EPERM  the caller may not run it, or lacks a permission that it asks for
 *   ECONNREFUSED   it ended at once for another reason; the message has the end of its log
 *   ETIMEDOUT      it was not ready after 30 seconds
 *   EPROTO         it is not a VM manager
 *
 * Other codes come from the system calls that start a program.
 *
 * The manager's log goes to the standard error that the caller has at the time of the call. The
 * library waits for the manager's process itself, on threads that take no signals; a program that
 * waits for all its children may still see it. The manager takes the calling process for its
 * client, so a program that becomes a daemon by forking must do that first.
 *
 * It may be called from several threads at once. Each call starts another manager with the
 * caller's environment, which no other thread may change meanwhile.
 *
 * `callback` must be NULL or a function that can be called with `ctx`.
 */
int get_virtualization_service(avf_error_callback callback, void *ctx);

/**
 * As get_virtualization_service, with `early_virtmgr`, the manager for VMs that start before /data
 * is mounted.
 *
 * `callback` must be NULL or a function that can be called with `ctx`.
 */
int get_early_virtualization_service(avf_error_callback callback, void *ctx);

/**
 * As get_virtualization_service, with the manager at the path `program`. A path without a slash is
 * one in the working directory: it is not looked for elsewhere. NULL or "" gives EINVAL.
 *
 * `program` must be NULL or a string that ends with a NUL. `callback` must be NULL or a function
 * that can be called with `ctx`.
 */
int avf_start_manager(const char *program, avf_error_callback callback, void *ctx);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VMCLIENT_H */
