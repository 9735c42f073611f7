/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client in C, as tests/client.rs runs it:
 *
 *   client serves            virtmgr, found by the library, takes a connection and ends
 *   client serves-early      the same with early_virtmgr
 *   client serves-at PATH    the same with the manager at PATH
 *   client outlives PATH     a manager that takes no connections; it ends when it is hung up on
 *   client at-once PATH      managers started by several threads at once
 *   client fails PATH        prints the code and the message
 *   client fails-early       the same, for early_virtmgr as the library finds it
 *
 * Exits with 0 and prints "ok" if all went as it should.
 */
#define _GNU_SOURCE
#include <vmclient.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, PATIENCE_MS = 60000, NAP_MS = 2 };

/* Ends the program with what was expected and is not so. */
#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition)) {                                                            \
            printf("line %d: not so: %s (errno: %s)\n", __LINE__, #condition,          \
                   strerror(errno));                                                   \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

struct heard {
    int calls;
    int code;
    char message[4096];
};

static void hear(int code, const char *message, void *ctx)
{
    struct heard *heard = ctx;
    heard->calls++;
    heard->code = code;
    snprintf(heard->message, sizeof heard->message, "%s", message);
}

/* Collects the children of this process; returns how many there are. */
static int children(pid_t *pids, int most)
{
    DIR *proc = opendir("/proc");
    EXPECT(proc != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        char path[300];
        int pid = atoi(entry->d_name);
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *stat = pid > 0 ? fopen(path, "r") : NULL;
        if (stat == NULL)
            continue;
        /* The name of a program may have spaces, so read on behind its last bracket. */
        char line[1024] = "";
        char *rest = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
        fclose(stat);
        char state;
        int parent;
        if (rest && sscanf(rest + 1, " %c %d", &state, &parent) == 2 && parent == getpid() &&
            count < most)
            pids[count++] = pid;
    }
    closedir(proc);
    return count;
}

/* Waits until there is no process `pid`, not even a zombie. */
static void wait_until_gone(pid_t pid)
{
    struct timespec nap = {.tv_sec = 0, .tv_nsec = NAP_MS * 1000000L};
    for (int waited = 0; kill(pid, 0) == 0; waited += NAP_MS) {
        EXPECT(waited < PATIENCE_MS);
        nanosleep(&nap, NULL);
    }
    EXPECT(errno == ESRCH);
}

/* How many descriptors or threads there are: the entries of /proc/self/fd or /proc/self/task. */
static int count(const char *path)
{
    DIR *dir = opendir(path);
    EXPECT(dir != NULL);
    int entries = 0;
    while (readdir(dir) != NULL)
        entries++;
    closedir(dir);
    return entries;
}

/* Waits until there are as many of them as there were. */
static void wait_until_again(const char *path, int wanted)
{
    struct timespec nap = {.tv_sec = 0, .tv_nsec = NAP_MS * 1000000L};
    for (int waited = 0; count(path) != wanted; waited += NAP_MS) {
        EXPECT(waited < PATIENCE_MS);
        nanosleep(&nap, NULL);
    }
}

static void expect_bootstrap_socket(int fd)
{
    int value;
    socklen_t size = sizeof value;
    EXPECT(fd > 2);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0 && value == AF_UNIX);
    EXPECT(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0 && value == SOCK_STREAM);
    EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EXPECT(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
}

/* Makes one connection over the bootstrap socket, as RPC binder libraries do. */
static int make_connection(int bootstrap)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    char zeros[4] = {0};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec bytes = {.iov_base = zeros, .iov_len = sizeof zeros};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &ends[1], sizeof(int));
    EXPECT(sendmsg(bootstrap, &message, MSG_NOSIGNAL) == (ssize_t)sizeof zeros);
    close(ends[1]);
    return ends[0];
}

/* The first step of a session of RPC binder: the client says which version of the protocol it
 * knows and asks for a new session, the server answers with the version that both will speak. */
static void shake_hands(int connection)
{
    struct {
        uint32_t version;
        uint8_t options;
        uint8_t descriptors; /* how descriptors travel: 1 is as SCM_RIGHTS */
        uint8_t reserved[8];
        uint16_t session_id_size; /* none: a new session */
    } hello = {.version = 2, .descriptors = 1};
    _Static_assert(sizeof hello == 16, "the header of a connection");
    EXPECT(send(connection, &hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello);
    struct {
        uint32_t version;
        uint8_t reserved[4];
    } answer;
    EXPECT(recv(connection, &answer, sizeof answer, MSG_WAITALL) == (ssize_t)sizeof answer);
    EXPECT(answer.version == 2);
}

/* Sees the one manager there is at work, and its end. */
static void use(int bootstrap, const struct heard *heard, int takes_connections)
{
    if (bootstrap < 0)
        printf("code %d: %s\n", heard->code, heard->message);
    EXPECT(bootstrap >= 0 && heard->calls == 0);
    expect_bootstrap_socket(bootstrap);
    pid_t manager;
    EXPECT(children(&manager, 1) == 1);
    if (takes_connections) {
        int connection = make_connection(bootstrap);
        shake_hands(connection);
        close(connection);
    }
    EXPECT(kill(manager, 0) == 0);
    close(bootstrap);
    wait_until_gone(manager);
}

static void *start_one(void *program)
{
    struct heard heard = {0};
    intptr_t fd = avf_start_manager(program, hear, &heard);
    EXPECT(fd > 2 && heard.calls == 0);
    return (void *)fd;
}

static void at_once(char *program)
{
    pthread_t threads[THREADS];
    int fds[THREADS];
    pid_t managers[THREADS + 1];
    int descriptors_before = count("/proc/self/fd");
    int threads_before = count("/proc/self/task");
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, start_one, program) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *fd;
        EXPECT(pthread_join(threads[i], &fd) == 0);
        fds[i] = (int)(intptr_t)fd;
    }
    EXPECT(children(managers, THREADS + 1) == THREADS);
    /* The threads that started them have ended; the managers have not. */
    for (int i = 0; i < THREADS; i++) {
        int connection = make_connection(fds[i]);
        shake_hands(connection);
        close(connection);
    }
    for (int i = 0; i < THREADS; i++)
        close(fds[i]);
    for (int i = 0; i < THREADS; i++)
        wait_until_gone(managers[i]);
    /* The library keeps nothing of a manager that is gone. */
    wait_until_again("/proc/self/task", threads_before);
    wait_until_again("/proc/self/fd", descriptors_before);
}

static void print_failure(int result, const struct heard *heard)
{
    pid_t left;
    EXPECT(result < 0 && heard->calls == 1 && heard->code == -result);
    EXPECT(children(&left, 1) == 0);
    printf("code %d: %s\n", heard->code, heard->message);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    char *program = argc > 2 ? argv[2] : NULL;
    struct heard heard = {0};
    if (strcmp(what, "serves") == 0) {
        use(get_virtualization_service(hear, &heard), &heard, 1);
    } else if (strcmp(what, "serves-early") == 0) {
        use(get_early_virtualization_service(hear, &heard), &heard, 1);
    } else if (strcmp(what, "serves-at") == 0) {
        use(avf_start_manager(program, hear, &heard), &heard, 1);
    } else if (strcmp(what, "outlives") == 0) {
        use(avf_start_manager(program, hear, &heard), &heard, 0);
    } else if (strcmp(what, "at-once") == 0) {
        at_once(program);
    } else if (strcmp(what, "fails") == 0) {
        print_failure(avf_start_manager(program, hear, &heard), &heard);
        EXPECT(avf_start_manager(program, NULL, NULL) == -heard.code);
    } else if (strcmp(what, "fails-early") == 0) {
        print_failure(get_early_virtualization_service(hear, &heard), &heard);
        EXPECT(get_early_virtualization_service(NULL, NULL) == -heard.code);
    } else {
        printf("what?\n");
        return 2;
    }
    printf("ok\n");
    return 0;
}
