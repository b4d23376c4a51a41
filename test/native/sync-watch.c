/*
 * A shim for LD_PRELOAD: tells what a program has put on stable storage, and lets its file system calls fail on demand.
 *
 *   SYNC_WATCH_ROOT      folder to watch (absolute, no symbolic links in it)
 *   SYNC_WATCH_LOG       the log, outside the folder; one line per event, appended with one write each
 *   SYNC_WATCH_GRAVE     folder on the same file system, where removed files are kept by a hard link
 *   SYNC_WATCH_CONTROL   faults, one per line; read again when the file is another one or has another time
 *
 * Log lines (numbers decimal; `inode` names a file across renames; `id` joins the begin and the end of a call):
 *
 *   O inode size path         a watched file was opened; size before this open cut it
 *   C inode path              it was created by the open
 *   W id inode from to        a write is about to be tried (to excluded)
 *   w id bytes sync           it ended; bytes < 0: failed; sync 1: on stable storage (O_DSYNC, O_SYNC, RWF_DSYNC);
 *                             2: the sync in it was made to fail, so these bytes may never get there
 *   S id inode size           a sync begins; size of the file at that moment
 *   s id ok                   it ended; ok 1: what had been written before the begin is on stable storage
 *   T inode size              the file is about to be cut or extended
 *   D id inode / d id ok      as S and s, of a folder
 *   M path                    a folder was made
 *   N grave old<TAB>new       a rename; grave: name of the link that keeps what was there, or -
 *   U grave path              a file was removed
 *   F kind path               a fault was injected
 *
 * Control lines: `kind number substring`; the rule holds for paths that contain the substring (* for all).
 *   full N S      after N more bytes writes are cut short, then fail with ENOSPC (N 0: at once)
 *   short N S     every write takes at most N bytes
 *   eio-write 0 S writes fail with EIO
 *   eio-sync 0 S  fsync and fdatasync, and writes that include a sync, fail with EIO
 *   hold-sync 0 S these wait until the control file changes
 *   slow-sync N S these take N more milliseconds
 *
 * Of stdio only the open, the syncs and the faults are seen, not each write: what stands behind the size at the last
 * sync counts as not synced, which is right for files that only grow. Not seen at all: stores through mmap, io_uring
 * (UV_USE_IO_URING=0), descriptors made by dup.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#undef fwrite_unlocked /* a macro where optimisation is on */
#define MAX_FD 65536
#define MAX_RULES 16
#define PATH_BYTES 4096

struct watched {
  char *path; /* never freed: another thread may still be reading it */
  unsigned long inode;
  dev_t device;
  int flags;
  int is_folder;
};

struct rule {
  char kind[16];
  char part[256];
  long number;
  atomic_long used;
};

static struct watched *_Atomic open_files[MAX_FD];
static char root[PATH_BYTES];
static const char *grave_folder, *control_file;
static int log_fd = -1;
static atomic_ulong next_id = 1;
static struct rule rules[MAX_RULES];
static int rule_count;
static struct timespec control_time;
static ino_t control_inode;
static pthread_mutex_t control_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void) {
  const char *folder = getenv("SYNC_WATCH_ROOT"), *log = getenv("SYNC_WATCH_LOG");
  grave_folder = getenv("SYNC_WATCH_GRAVE");
  control_file = getenv("SYNC_WATCH_CONTROL");
  if (!folder || !log || strlen(folder) >= sizeof root) return;
  strcpy(root, folder);
  int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return;
  /* out of the way of programs that count on low numbers */
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 1000);
  log_fd = high < 0 ? fd : high;
  if (high >= 0) syscall(SYS_close, fd);
}

static int is_on(void) {
  pthread_once(&once, set_up);
  return log_fd >= 0;
}

static void say(const char *format, ...) {
  char line[2 * PATH_BYTES + 256];
  int saved = errno;
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line - 1, format, args);
  va_end(args);
  if (length > (int)sizeof line - 2) length = sizeof line - 2;
  line[length] = '\n';
  if (syscall(SYS_write, log_fd, line, length + 1) < 0) abort(); /* a log with holes would lie */
  errno = saved;
}

/* ---- which files are watched */

static int is_inside(const char *path) {
  size_t length = strlen(root);
  return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int absolute(char *into, int folder_fd, const char *path) {
  if (path[0] == '/') return snprintf(into, PATH_BYTES, "%s", path) < PATH_BYTES;
  char base[PATH_BYTES];
  if (folder_fd == AT_FDCWD) {
    if (!getcwd(base, sizeof base)) return 0;
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder_fd);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return 0;
    base[length] = 0;
  }
  return snprintf(into, PATH_BYTES, "%s/%s", base, path) < PATH_BYTES;
}

/* What is open under this number. Not every close passes by here (libuv calls the kernel itself), so look again. */
static struct watched *watched_of(int fd) {
  struct watched *file = fd >= 0 && fd < MAX_FD ? open_files[fd] : NULL;
  if (!file) return NULL;
  struct stat is;
  int saved = errno;
  int is_same = syscall(SYS_fstat, fd, &is) == 0 && is.st_ino == file->inode && is.st_dev == file->device;
  errno = saved;
  if (!is_same) open_files[fd] = NULL;
  return is_same ? file : NULL;
}

/* ---- faults */

static void read_rules(void) {
  struct stat now;
  rule_count = 0;
  memset(&control_time, 0, sizeof control_time);
  control_inode = 0;
  if (syscall(SYS_newfstatat, AT_FDCWD, control_file, &now, 0) < 0) return;
  control_time = now.st_mtim;
  control_inode = now.st_ino;
  char text[8192];
  int fd = syscall(SYS_openat, AT_FDCWD, control_file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  long length = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  text[length < 0 ? 0 : length] = 0;
  char *rest = text, *line;
  while ((line = strsep(&rest, "\n")) && rule_count < MAX_RULES) {
    struct rule *rule = &rules[rule_count];
    if (sscanf(line, "%15s %ld %255s", rule->kind, &rule->number, rule->part) != 3) continue;
    atomic_store(&rule->used, 0);
    rule_count++;
  }
}

static struct rule *rule_for(const char *kind, const char *path) {
  if (!control_file) return NULL;
  struct rule *found = NULL;
  struct stat now;
  pthread_mutex_lock(&control_lock);
  int missing = syscall(SYS_newfstatat, AT_FDCWD, control_file, &now, 0) < 0;
  if (missing) rule_count = 0, control_inode = 0;
  else if (now.st_ino != control_inode || memcmp(&now.st_mtim, &control_time, sizeof control_time) != 0) read_rules();
  for (int i = 0; i < rule_count && !found; i++) {
    struct rule *rule = &rules[i];
    if (strcmp(rule->kind, kind) != 0) continue;
    if (strcmp(rule->part, "*") == 0 || strstr(path, rule->part)) found = rule;
  }
  pthread_mutex_unlock(&control_lock);
  return found;
}

static void doze(long ms) {
  struct timespec span = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&span, NULL);
}

/* What happens to a sync of this path: 0 it may go on, else the error. */
static int fault_of_sync(const char *path) {
  struct rule *rule = rule_for("slow-sync", path);
  if (rule) doze(rule->number);
  int is_held = 0;
  while (rule_for("hold-sync", path)) {
    if (!is_held++) say("F hold-sync %s", path);
    doze(1);
  }
  if (!rule_for("eio-sync", path)) return 0;
  say("F eio-sync %s", path);
  return EIO;
}

/* How many of these bytes may be written; -1 with errno when none. */
static ssize_t allowed_bytes(const char *path, size_t bytes) {
  struct rule *rule;
  if (rule_for("eio-write", path)) {
    say("F eio-write %s", path);
    errno = EIO;
    return -1;
  }
  size_t allowed = bytes;
  if ((rule = rule_for("full", path))) {
    long used = atomic_fetch_add(&rule->used, (long)bytes), left = rule->number - used;
    if (left <= 0) {
      say("F full %s", path);
      errno = ENOSPC;
      return -1;
    }
    if ((size_t)left < allowed) allowed = left;
  }
  if ((rule = rule_for("short", path)) && allowed > (size_t)rule->number) allowed = rule->number;
  return allowed;
}

/* ---- open and close */

static void watch_open(int fd, int flags, int existed, off_t size_before) {
  if (fd < 0 || fd >= MAX_FD) return;
  open_files[fd] = NULL;
  char link[64], path[PATH_BYTES];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return;
  path[length] = 0;
  struct stat is;
  if (!is_inside(path) || syscall(SYS_fstat, fd, &is) < 0) return;
  if (!S_ISREG(is.st_mode) && !S_ISDIR(is.st_mode)) return;
  struct watched *file = malloc(sizeof *file);
  file->path = strdup(path);
  file->inode = is.st_ino;
  file->device = is.st_dev;
  file->flags = flags;
  file->is_folder = S_ISDIR(is.st_mode);
  if (!file->is_folder) {
    if (!existed) say("C %lu %s", file->inode, path);
    else say("O %lu %lld %s", file->inode, (long long)size_before, path);
    if (existed && (flags & O_TRUNC) && size_before > 0) say("T %lu 0", file->inode);
  }
  open_files[fd] = file;
}

static int open_any(int folder_fd, const char *path, int flags, mode_t mode) {
  if (!is_on()) return syscall(SYS_openat, folder_fd, path, flags, mode);
  struct stat before;
  int saved = errno;
  int existed = syscall(SYS_newfstatat, folder_fd, path, &before, 0) == 0;
  errno = saved;
  int fd = syscall(SYS_openat, folder_fd, path, flags, mode);
  if (fd >= 0) watch_open(fd, flags, existed, existed ? before.st_size : 0);
  return fd;
}

static mode_t mode_of(int flags, va_list args) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    va_list args; \
    va_start(args, flags); \
    mode_t mode = mode_of(flags, args); \
    va_end(args); \
    return open_any(AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name) \
  int name(int folder_fd, const char *path, int flags, ...) { \
    va_list args; \
    va_start(args, flags); \
    mode_t mode = mode_of(flags, args); \
    va_end(args); \
    return open_any(folder_fd, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
  if (fd >= 0 && fd < MAX_FD) open_files[fd] = NULL;
  if (fd == log_fd && fd >= 0) return 0;
  return syscall(SYS_close, fd);
}

/* ---- writing */

static size_t bytes_of(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  return bytes;
}

/* The same parts, cut to so many bytes; returns how many parts are left. */
static int cut_parts(struct iovec *into, const struct iovec *parts, int count, size_t bytes) {
  int used = 0;
  for (; used < count && bytes > 0; used++) {
    into[used] = parts[used];
    if (into[used].iov_len > bytes) into[used].iov_len = bytes;
    bytes -= into[used].iov_len;
  }
  return used;
}

static ssize_t raw_write(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  if (offset < 0 && flags == 0) return syscall(SYS_writev, fd, parts, count);
  return syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
}

/* offset < 0: at the position of the descriptor */
static ssize_t write_any(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  struct watched *file = watched_of(fd);
  if (!file || file->is_folder) return raw_write(fd, parts, count, offset, flags);
  size_t bytes = bytes_of(parts, count);
  ssize_t allowed = allowed_bytes(file->path, bytes);
  if (allowed < 0) return -1;
  int is_synced = (file->flags & O_DSYNC) || (flags & (RWF_DSYNC | RWF_SYNC)) ? 1 : 0;
  int fault = is_synced ? fault_of_sync(file->path) : 0;
  struct stat is;
  off_t from = offset;
  if (file->flags & O_APPEND) from = syscall(SYS_fstat, fd, &is) < 0 ? 0 : is.st_size;
  else if (offset < 0) from = syscall(SYS_lseek, fd, 0, SEEK_CUR);
  unsigned long id = atomic_fetch_add(&next_id, 1);
  say("W %d.%lu %lu %lld %lld", getpid(), id, file->inode, (long long)from, (long long)(from + allowed));
  struct iovec *cut = malloc(sizeof *cut * (count > 0 ? count : 1));
  int left = cut_parts(cut, parts, count, allowed);
  ssize_t done = raw_write(fd, cut, left, offset, flags);
  int saved = errno;
  free(cut);
  /* after a failed sync the bytes may or may not be there: they are, and count as not synced */
  say("w %d.%lu %lld %d", getpid(), id, (long long)done, fault ? 2 : is_synced);
  errno = fault ? fault : saved;
  return fault ? -1 : done;
}

static ssize_t write_one(int fd, const void *bytes, size_t count, off_t offset) {
  struct iovec part = {(void *)bytes, count};
  return write_any(fd, &part, 1, offset, 0);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  if (!watched_of(fd)) return syscall(SYS_write, fd, bytes, count);
  return write_one(fd, bytes, count, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return write_one(fd, bytes, count, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) { return write_one(fd, bytes, count, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_any(fd, parts, count, -1, 0); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_any(fd, parts, count, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  return write_any(fd, parts, count, offset, 0);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  return write_any(fd, parts, count, offset, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
  return write_any(fd, parts, count, offset, flags);
}

/* ---- stdio, which LevelDB uses */

static FILE *fopen_any(const char *symbol, const char *path, const char *mode) {
  FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, symbol);
  struct stat before;
  int saved = errno;
  int existed = syscall(SYS_newfstatat, AT_FDCWD, path, &before, 0) == 0;
  errno = saved;
  FILE *stream = real(path, mode);
  int flags = mode[0] == 'w' ? O_CREAT | O_TRUNC : 0;
  if (stream && is_on()) watch_open(fileno(stream), flags, existed, existed ? before.st_size : 0);
  return stream;
}
FILE *fopen(const char *path, const char *mode) { return fopen_any("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return fopen_any("fopen64", path, mode); }

int fclose(FILE *stream) {
  int (*real)(FILE *) = (int (*)(FILE *))dlsym(RTLD_NEXT, "fclose");
  int fd = fileno(stream);
  if (fd >= 0 && fd < MAX_FD) open_files[fd] = NULL;
  return real(stream);
}

typedef size_t (*write_function)(const void *, size_t, size_t, FILE *);

static size_t fwrite_any(write_function real, const void *bytes, size_t size, size_t count, FILE *stream) {
  struct watched *file = watched_of(fileno(stream));
  if (!file || size == 0) return real(bytes, size, count, stream);
  ssize_t allowed = allowed_bytes(file->path, size * count);
  return allowed < 0 ? 0 : real(bytes, size, (size_t)allowed / size, stream);
}
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
  static write_function real;
  if (!real) real = (write_function)dlsym(RTLD_NEXT, "fwrite");
  return fwrite_any(real, bytes, size, count, stream);
}
size_t fwrite_unlocked(const void *bytes, size_t size, size_t count, FILE *stream) {
  static write_function real;
  if (!real) real = (write_function)dlsym(RTLD_NEXT, "fwrite_unlocked");
  return fwrite_any(real, bytes, size, count, stream);
}

/* ---- syncing */

static int sync_any(int fd, long call) {
  struct watched *file = watched_of(fd);
  if (!file) return syscall(call, fd);
  unsigned long id = atomic_fetch_add(&next_id, 1);
  struct stat is;
  if (file->is_folder) say("D %d.%lu %s", getpid(), id, file->path);
  else say("S %d.%lu %lu %lld", getpid(), id, file->inode, (long long)(syscall(SYS_fstat, fd, &is) < 0 ? 0 : is.st_size));
  int fault = fault_of_sync(file->path);
  int done = fault ? -1 : syscall(call, fd);
  int saved = fault ? fault : errno;
  say("%c %d.%lu %d", file->is_folder ? 'd' : 's', getpid(), id, done == 0);
  errno = saved;
  return done;
}

int fsync(int fd) { return sync_any(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }

/* ---- sizes */

static int truncate_any(int fd, off_t size) {
  struct watched *file = watched_of(fd);
  if (file) say("T %lu %lld", file->inode, (long long)size);
  return syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return truncate_any(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncate_any(fd, size); }

static int truncate_path(const char *path, off_t size) {
  char full[PATH_BYTES];
  struct stat is;
  if (is_on() && absolute(full, AT_FDCWD, path) && is_inside(full)) {
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &is, 0) == 0) say("T %lu %lld", is.st_ino, (long long)size);
  }
  return syscall(SYS_truncate, path, size);
}
int truncate(const char *path, off_t size) { return truncate_path(path, size); }
int truncate64(const char *path, off64_t size) { return truncate_path(path, size); }

/* ---- names */

/* Keeps what stands at a path by one more link; the name of the link, or - */
static void bury(const char *path, char *name) {
  static atomic_ulong count;
  struct stat is;
  strcpy(name, "-");
  if (!grave_folder || syscall(SYS_newfstatat, AT_FDCWD, path, &is, AT_SYMLINK_NOFOLLOW) < 0) return;
  char link[PATH_BYTES];
  char candidate[64];
  snprintf(candidate, sizeof candidate, "%d-%lu", getpid(), atomic_fetch_add(&count, 1));
  if (snprintf(link, sizeof link, "%s/%s", grave_folder, candidate) >= PATH_BYTES) return;
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, link, 0) == 0) strcpy(name, candidate);
}

static int rename_any(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
  char old[PATH_BYTES], new[PATH_BYTES], grave[64];
  int is_ours = is_on() && absolute(old, from_fd, from) && absolute(new, to_fd, to) && is_inside(new);
  if (is_ours) bury(new, grave);
  int done = syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
  if (is_ours && done == 0) say("N %s %s\t%s", grave, old, new);
  return done;
}
int rename(const char *from, const char *to) { return rename_any(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_fd, const char *from, int to_fd, const char *to) {
  return rename_any(from_fd, from, to_fd, to, 0);
}
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
  return rename_any(from_fd, from, to_fd, to, flags);
}

static int unlink_any(int folder_fd, const char *path, int flags) {
  char full[PATH_BYTES], grave[64];
  int is_ours = !(flags & AT_REMOVEDIR) && is_on() && absolute(full, folder_fd, path) && is_inside(full);
  if (is_ours) bury(full, grave);
  int done = syscall(SYS_unlinkat, folder_fd, path, flags);
  if (is_ours && done == 0) say("U %s %s", grave, full);
  return done;
}
int unlink(const char *path) { return unlink_any(AT_FDCWD, path, 0); }
int unlinkat(int folder_fd, const char *path, int flags) { return unlink_any(folder_fd, path, flags); }

int mkdir(const char *path, mode_t mode) {
  char full[PATH_BYTES];
  int done = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  if (done == 0 && is_on() && absolute(full, AT_FDCWD, path) && is_inside(full)) say("M %s", full);
  return done;
}
