/* A clock that starts at a given moment and runs on at normal speed, for every process that this is preloaded into.

   In, from the environment: KAT_CLOCK_SHOWN, what the clock showed when it was started, and KAT_CLOCK_BEGAN, the
   machine's time at that moment; both in seconds since 1970. The wall clock is moved by the difference; monotonic
   clocks, and with them durations and time-outs, are the machine's. A file time since the start is moved too, so that
   what is written now looks written now; an older one stays, so that compiled Python keeps fitting its source.
   Deadlines on the wall clock are moved back before the kernel sees them.

   Nothing here is shared between processes. No header and no symbol version of any libc is used, so that one file
   serves boxes with another libc than the machine's; a libc without the waits below (glibc before 2.30, musl) is refused
   when a program starts. Programs that read the clock without a libc (static ones, most of Go's) see the machine's. */

#if !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__))
#error "64-bit x86 and ARM under Linux"
#endif

typedef long seconds; /* time_t */
struct spec { seconds sec; long nsec; };
struct val { seconds sec; long usec; };
struct timer { struct spec every, first; };

#ifdef __x86_64__
enum { FSTAT = 5, CLOCK_READ = 228, SLEEP = 230, STAT = 262, UTIMENS = 280, TIMERFD = 286, STATX = 332 };
enum { WRITE = 1, EXIT = 231 };
#else
enum { FSTAT = 80, CLOCK_READ = 113, SLEEP = 115, STAT = 79, UTIMENS = 88, TIMERFD = 86, STATX = 291 };
enum { WRITE = 64, EXIT = 94 };
#endif
enum { WALL = 0, MONOTONIC = 1, WALL_COARSE = 5, WALL_ALARM = 8, TAI = 11 };
enum { HERE = -100, NOFOLLOW = 0x100, ABSOLUTE = 1, INVALID = 22 };
enum { TIMES = 72, BETWEEN = 16 }; /* struct stat: bytes before the access time, and from one time to the next */
enum { XTIMES = 64 };              /* struct statx likewise */

#define DATE 500000000L      /* a later absolute time (1985) is a date, an earlier one an uptime */
#define FOREVER 100000000000L
#define WEAK __attribute__((weak))

extern char *getenv(const char *);
extern int *__errno_location(void);
extern int pthread_cond_clockwait(void *, void *, int, const struct spec *) WEAK;
extern int pthread_mutex_clocklock(void *, int, const struct spec *) WEAK;
extern int pthread_rwlock_clockrdlock(void *, int, const struct spec *) WEAK;
extern int pthread_rwlock_clockwrlock(void *, int, const struct spec *) WEAK;
extern int sem_clockwait(void *, int, const struct spec *) WEAK;

/* The kernel itself: what it says, a failure as a negative number; and the same as a libc reports it. */
static long raw(long number, long a, long b, long c, long d, long e, long f) {
#ifdef __x86_64__
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#endif
}

static long reported(long result) {
    if (result >= 0 || result < -4095) return result;
    *__errno_location() = -result;
    return -1;
}

#define KERNEL(number, a, b, c, d) reported(raw(number, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0))

static int known;
static seconds began, moved;

static seconds number(const char *name) {
    const char *text = getenv(name);
    seconds value = 0;
    while (text && *text >= '0' && *text <= '9' && value < FOREVER) value = value * 10 + (*text++ - '0');
    return value;
}

__attribute__((constructor)) static void start(void) {
    static const char no[] = "kat-clock: this libc has no pthread_cond_clockwait\n";
    if (known) return;
    if (!pthread_cond_clockwait || !sem_clockwait) {
        KERNEL(WRITE, 2, no, sizeof no - 1, 0);
        KERNEL(EXIT, 97, 0, 0, 0);
    }
    seconds shown = number("KAT_CLOCK_SHOWN");
    began = number("KAT_CLOCK_BEGAN");
    moved = shown && began ? shown - began : 0;
    known = 1;
}

static int is_wall(int clock) { return clock == WALL || clock == WALL_COARSE || clock == WALL_ALARM || clock == TAI; }

/* A deadline as the kernel must see it. */
static struct spec real(const struct spec *deadline) {
    struct spec out = *deadline;
    start();
    if (out.sec >= DATE && out.sec < FOREVER) out.sec -= moved;
    return out;
}

int clock_gettime(int clock, struct spec *out) {
    int failed = KERNEL(CLOCK_READ, clock, out, 0, 0);
    start();
    if (!failed && is_wall(clock)) out->sec += moved;
    return failed;
}

int gettimeofday(struct val *out, int *zone) {
    struct spec now;
    clock_gettime(WALL, &now);
    if (out) *out = (struct val){now.sec, now.nsec / 1000};
    if (zone) zone[0] = zone[1] = 0;
    return 0;
}

seconds time(seconds *out) {
    struct spec now;
    clock_gettime(WALL_COARSE, &now);
    if (out) *out = now.sec;
    return now.sec;
}

int timespec_get(struct spec *out, int base) { return base == 1 && !clock_gettime(WALL, out) ? base : 0; }

/* Not a cancellation point, as the libc's is. */
int clock_nanosleep(int clock, int flags, const struct spec *wanted, struct spec *left) {
    struct spec until = flags & ABSOLUTE && is_wall(clock) ? real(wanted) : *wanted;
    return -raw(SLEEP, clock, flags, (long)&until, (long)left, 0, 0);
}

/* Which clock a condition variable waits on is its own secret, but the deadline tells. */
int pthread_cond_timedwait(void *condition, void *mutex, const struct spec *deadline) {
    struct spec until = real(deadline);
    return pthread_cond_clockwait(condition, mutex, deadline->sec >= DATE ? WALL : MONOTONIC, &until);
}

int pthread_mutex_timedlock(void *mutex, const struct spec *deadline) {
    struct spec until = real(deadline);
    return pthread_mutex_clocklock(mutex, WALL, &until);
}

int pthread_rwlock_timedrdlock(void *lock, const struct spec *deadline) {
    struct spec until = real(deadline);
    return pthread_rwlock_clockrdlock(lock, WALL, &until);
}

int pthread_rwlock_timedwrlock(void *lock, const struct spec *deadline) {
    struct spec until = real(deadline);
    return pthread_rwlock_clockwrlock(lock, WALL, &until);
}

int sem_timedwait(void *semaphore, const struct spec *deadline) {
    struct spec until = real(deadline);
    return sem_clockwait(semaphore, WALL, &until);
}

int timerfd_settime(int file, int flags, const struct timer *wanted, struct timer *old) {
    struct timer set = *wanted;
    if (flags & ABSOLUTE) set.first = real(&wanted->first);
    return KERNEL(TIMERFD, file, flags, &set, old);
}

/* File times, read: access, (birth,) change and modification lie one after the other. */
static int seen(int failed, char *times, int count) {
    start();
    for (int i = 0; !failed && i < count; i++) {
        seconds *at = (seconds *)(times + i * BETWEEN);
        if (*at >= began) *at += moved;
    }
    return failed;
}

int fstatat(int folder, const char *path, char *out, int flags) {
    return seen(KERNEL(STAT, folder, path, out, flags), out + TIMES, 3);
}
int fstat(int file, char *out) { return seen(KERNEL(FSTAT, file, out, 0, 0), out + TIMES, 3); }
int stat(const char *path, char *out) { return fstatat(HERE, path, out, 0); }
int lstat(const char *path, char *out) { return fstatat(HERE, path, out, NOFOLLOW); }
int statx(int folder, const char *path, int flags, unsigned mask, char *out) {
    return seen(reported(raw(STATX, folder, (long)path, flags, mask, (long)out, 0)), out + XTIMES, 4);
}

/* libuv, and others that are older than a call's wrapper, ask the kernel by number. */
long syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (number == CLOCK_READ) return clock_gettime(a, (struct spec *)b);
    if (number == STATX) return statx(a, (const char *)b, c, d, (char *)e);
    if (number == STAT) return fstatat(a, (const char *)b, (char *)c, d);
    return reported(raw(number, a, b, c, d, e, f));
}

/* The names that programs built with large files or before glibc 2.33 call. */
#define ALSO(name, original) __typeof__(original) name __attribute__((alias(#original)))
ALSO(stat64, stat);
ALSO(lstat64, lstat);
ALSO(fstat64, fstat);
ALSO(fstatat64, fstatat);
int __xstat(int version, const char *path, char *out) { return (void)version, stat(path, out); }
int __lxstat(int version, const char *path, char *out) { return (void)version, lstat(path, out); }
int __fxstat(int version, int file, char *out) { return (void)version, fstat(file, out); }
int __fxstatat(int version, int folder, const char *path, char *out, int flags) {
    return (void)version, fstatat(folder, path, out, flags);
}
ALSO(__xstat64, __xstat);
ALSO(__lxstat64, __lxstat);
ALSO(__fxstat64, __fxstat);
ALSO(__fxstatat64, __fxstatat);

/* File times, set: one that reading would move is moved the other way first. */
int utimensat(int folder, const char *path, const struct spec *times, int flags) {
    struct spec both[2];
    start();
    for (int i = 0; times && i < 2; i++) {
        both[i] = times[i];
        if (both[i].sec >= began && both[i].sec - moved >= began) both[i].sec -= moved;
    }
    return KERNEL(UTIMENS, folder, path, times ? both : 0, flags);
}

int futimens(int file, const struct spec *times) { return utimensat(file, 0, times, 0); }

static int in_micros(int folder, const char *path, const struct val *times, int flags) {
    struct spec both[2];
    for (int i = 0; times && i < 2; i++) {
        if (times[i].usec < 0 || times[i].usec > 999999) return *__errno_location() = INVALID, -1;
        both[i] = (struct spec){times[i].sec, times[i].usec * 1000};
    }
    return utimensat(folder, path, times ? both : 0, flags);
}

int utimes(const char *path, const struct val *times) { return in_micros(HERE, path, times, 0); }
int lutimes(const char *path, const struct val *times) { return in_micros(HERE, path, times, NOFOLLOW); }
int futimes(int file, const struct val *times) { return in_micros(file, 0, times, 0); }
int utime(const char *path, const seconds *times) {
    struct val both[2] = {{times ? times[0] : 0, 0}, {times ? times[1] : 0, 0}};
    return utimes(path, times ? both : 0);
}
