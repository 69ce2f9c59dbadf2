/* Preloaded into a program under test (LD_PRELOAD): writes down, in order, everything that changes files below
 * a folder, and what is printed. tests/support/power_loss.py reads it.
 *
 * SANDTIME_LOGGED_FOLDER: absolute path of the folder. SANDTIME_LOG: file for the records, each
 *   kind (1 byte), inode (8), number (8), length of path (4), length of data (4), path, data
 * with little-endian numbers:
 *   o  a file was opened: number = flags            d  a folder was made
 *   D  a folder was opened                          r  renamed: data = new path
 *   w  data were written at number                  u  a name was removed
 *   t  cut or grown to number bytes                 s  made durable (fsync, fdatasync)
 *   p  data were printed
 * An operation and its record are one under the lock, so the order of the records is that of the effects.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static int log_fd = -1;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SANDTIME_LOG");
    folder = getenv("SANDTIME_LOGGED_FOLDER");
    if (path && folder)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int inside(const char *path) {
    return log_fd >= 0 && path && strncmp(path, folder, strlen(folder)) == 0;
}

static void put(char kind, uint64_t inode, int64_t number, const char *path, const void *data, size_t size) {
    struct __attribute__((packed)) {
        char kind;
        uint64_t inode;
        int64_t number;
        uint32_t path_length, data_length;
    } head = {kind, inode, number, path ? (uint32_t)strlen(path) : 0, (uint32_t)size};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path_length}, {(void *)data, size}};
    ssize_t all = (ssize_t)(sizeof head + head.path_length + size);
    if (syscall(SYS_writev, log_fd, parts, 3) != all) {
        static const char message[] = "logged_writes: the log cannot be written\n";
        syscall(SYS_write, 2, message, sizeof message - 1);
        _exit(70);
    }
}

/* Whether an open file is a regular one, on which the folder's file system is; its number. */
static int regular(int fd, uint64_t *inode) {
    static dev_t device;
    struct stat facts;
    if (log_fd < 0) return 0;
    if (!device && stat(folder, &facts) == 0) device = facts.st_dev;
    if (syscall(SYS_fstat, fd, &facts) != 0 || facts.st_dev != device) return 0;
    if (!S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode)) return 0;
    *inode = facts.st_ino;
    return 1;
}

/* Run an operation and, if it succeeded, record it. */
#define LOGGED(type, call, record)         \
    do {                                   \
        int saved;                         \
        pthread_mutex_lock(&lock);         \
        type result = (call);              \
        saved = errno;                     \
        if (result >= 0 && log_fd >= 0) {  \
            record;                        \
        }                                  \
        pthread_mutex_unlock(&lock);       \
        errno = saved;                     \
        return result;                     \
    } while (0)

static void record_open(int fd, const char *path, int flags) {
    struct stat facts;
    if (!inside(path) || fstat(fd, &facts) != 0) return;
    put(S_ISDIR(facts.st_mode) ? 'D' : 'o', facts.st_ino, flags, path, NULL, 0);
}

static int open_logged(int at, const char *path, int flags, mode_t mode) {
    LOGGED(int, (int)syscall(SYS_openat, at, path, flags, mode), record_open(result, path, flags));
}

#define MODE(last)                                  \
    mode_t mode = 0;                                \
    if (flags & (O_CREAT | __O_TMPFILE)) {          \
        va_list more;                               \
        va_start(more, last);                       \
        mode = va_arg(more, mode_t);                \
        va_end(more);                               \
    }
int open(const char *path, int flags, ...) { MODE(flags) return open_logged(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_logged(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_logged(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_logged(at, path, flags, mode); }
int __open_2(const char *path, int flags) { return open_logged(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_logged(AT_FDCWD, path, flags, 0); }

static void record_write(int fd, int64_t offset, const void *data, ssize_t size) {
    uint64_t inode;
    if (fd == 1)
        put('p', 0, 0, NULL, data, (size_t)size);
    else if (size > 0 && regular(fd, &inode))
        put('w', inode, offset < 0 ? lseek(fd, 0, SEEK_CUR) - size : offset, NULL, data, (size_t)size);
}

ssize_t write(int fd, const void *data, size_t size) {
    LOGGED(ssize_t, syscall(SYS_write, fd, data, size), record_write(fd, -1, data, result));
}
static ssize_t pwrite_logged(int fd, const void *data, size_t size, off_t offset) {
    LOGGED(ssize_t, syscall(SYS_pwrite64, fd, data, size, offset), record_write(fd, offset, data, result));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite_logged(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite_logged(fd, data, size, offset); }

static void record_plain(char kind, int fd, int64_t number) {
    uint64_t inode;
    if (regular(fd, &inode)) put(kind, inode, number, NULL, NULL, 0);
}

static int truncate_logged(int fd, off_t size) {
    LOGGED(int, (int)syscall(SYS_ftruncate, fd, size), record_plain('t', fd, size));
}
int ftruncate(int fd, off_t size) { return truncate_logged(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_logged(fd, size); }
int fsync(int fd) { LOGGED(int, (int)syscall(SYS_fsync, fd), record_plain('s', fd, 0)); }
int fdatasync(int fd) { LOGGED(int, (int)syscall(SYS_fdatasync, fd), record_plain('s', fd, 0)); }

static void record_name(char kind, const char *path, const char *to) {
    if (inside(path)) put(kind, 0, 0, path, to, to ? strlen(to) : 0);
}
int rename(const char *path, const char *to) {
    LOGGED(int, (int)syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, 0), record_name('r', path, to));
}
int unlink(const char *path) {
    LOGGED(int, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0), record_name('u', path, NULL));
}
int mkdir(const char *path, mode_t mode) {
    LOGGED(int, (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode), record_name('d', path, NULL));
}
