/* Counts a process's writes, syncs and sends, and kills it, fails the call, or keeps a journal, as its plan says.
 *
 * Preloaded (LD_PRELOAD), so that it stands below Python, SQLite and the sockets alike. Only regular files and TCP sockets count.
 * The plan is a page shared with the parent, which reads from it how far a child came. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, SEND = 4 };

struct plan {
    int64_t count;  /* calls so far that the mask names */
    int64_t at;     /* the call that is meant, 0 for none */
    int64_t how;    /* 'B' killed before, 'A' after, 'H' in the middle of a write; 'F' fails, 'L' it and every later one */
    int64_t error;  /* errno of a failure */
    int64_t mask;   /* kinds that count */
    int64_t hit;    /* the kind of the call that was struck, 0 before */
    int64_t failed; /* calls that failed */
};

static struct plan *plan;
static int journal = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ({ static __typeof__(&name) real_; if (!real_) real_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real_; })

struct plan *calls_fresh(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return plan == MAP_FAILED ? (plan = NULL) : plan;
}

void calls_done(struct plan *old) { munmap(old, sizeof *old); }

void calls_journal(const char *path) { journal = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); }

static void put_named(char op, const char *path, int64_t length, int64_t offset, const void *data, int64_t size) {
    struct { int64_t op, name, offset, size; } head = {op, length, offset, size};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, (size_t)length}, {(void *)data, data ? (size_t)size : 0}};
    syscall(SYS_writev, journal, parts, 3);
}

static void put(char op, int fd, int64_t offset, const void *data, int64_t size) {
    char link[64], path[512];
    ssize_t length = 0;
    if (fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, path, sizeof path);
        if (length < 0) length = 0;
    }
    put_named(op, path, length, offset, data, size);
}

/* What the program promised by now, so that the journal holds it in its order. */
void calls_note(const char *text, int64_t size) {
    if (journal < 0) return;
    pthread_mutex_lock(&lock);
    put('N', -1, 0, text, size);
    pthread_mutex_unlock(&lock);
}

static int kind_of(int fd, int kind) {
    struct stat seen;
    if (!plan || fd < 0 || fd == journal || syscall(SYS_fstat, fd, &seen)) return 0;
    if (S_ISREG(seen.st_mode) || (kind == SYNC && S_ISDIR(seen.st_mode))) return kind;
    if (!S_ISSOCK(seen.st_mode) || kind == SYNC) return 0;
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    return !getsockname(fd, (struct sockaddr *)&at, &size) && (at.ss_family == AF_INET || at.ss_family == AF_INET6) ? SEND : 0;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Return how this call is struck, 0 for not at all. */
static int struck(int kind) {
    if (!kind || !(plan->mask & kind)) return 0;
    int64_t number = __atomic_add_fetch(&plan->count, 1, __ATOMIC_SEQ_CST);
    if (!plan->at || (number != plan->at && !(plan->how == 'L' && number > plan->at))) return 0;
    if (!plan->hit) plan->hit = kind;
    if (plan->how == 'B') die();
    if (plan->how == 'F' || plan->how == 'L') {
        plan->failed++;
        errno = (int)plan->error;
    }
    return (int)plan->how;
}

#define CALL(type, fd, kind, half, full, op, offset, data, size) \
    int kind_ = kind_of(fd, kind), how_ = struck(kind_); \
    if (how_ == 'F' || how_ == 'L') return -1; \
    if (how_ == 'H') { half; die(); } \
    int keeps_ = journal >= 0 && kind_ && kind_ != SEND; \
    if (keeps_) pthread_mutex_lock(&lock); \
    int64_t offset_ = keeps_ ? (offset) : 0; \
    type done_ = full; \
    int error_ = errno; \
    if (keeps_) { if (done_ >= 0) put(op, fd, offset_, data, size); pthread_mutex_unlock(&lock); } \
    if (how_ == 'A') die(); \
    errno = error_; \
    return done_

static int64_t end_of(int fd) {
    struct stat seen;
    if (fcntl(fd, F_GETFL) & O_APPEND) return syscall(SYS_fstat, fd, &seen) ? 0 : seen.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t size) {
    CALL(ssize_t, fd, WRITE, REAL(write)(fd, data, size / 2), REAL(write)(fd, data, size), 'W', end_of(fd), data, done_);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    CALL(ssize_t, fd, WRITE, REAL(pwrite)(fd, data, size / 2, at), REAL(pwrite)(fd, data, size, at), 'W', at, data, done_);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    CALL(ssize_t, fd, WRITE, REAL(pwrite64)(fd, data, size / 2, at), REAL(pwrite64)(fd, data, size, at), 'W', at, data, done_);
}
int fsync(int fd) { CALL(int, fd, SYNC, (void)0, REAL(fsync)(fd), 'S', 0, NULL, 0); }
int fdatasync(int fd) { CALL(int, fd, SYNC, (void)0, REAL(fdatasync)(fd), 'S', 0, NULL, 0); }
int ftruncate(int fd, off_t size) { CALL(int, fd, WRITE, (void)0, REAL(ftruncate)(fd, size), 'T', size, NULL, 0); }
int ftruncate64(int fd, off64_t size) { CALL(int, fd, WRITE, (void)0, REAL(ftruncate64)(fd, size), 'T', size, NULL, 0); }
ssize_t send(int fd, const void *data, size_t size, int flags) {
    CALL(ssize_t, fd, SEND, REAL(send)(fd, data, size / 2, flags), REAL(send)(fd, data, size, flags), 'M', 0, NULL, 0);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    CALL(ssize_t, fd, SEND, (void)0, REAL(sendmsg)(fd, message, flags), 'M', 0, NULL, 0);
}
int unlink(const char *path) {
    int done = REAL(unlink)(path), error = errno;
    if (journal >= 0 && !done) {
        pthread_mutex_lock(&lock);
        put_named('U', path, (int64_t)strlen(path), 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return done;
}
