"""System call numbers of x86-64 and aarch64, for the calls a filter names. Knows no policy beyond the grouping.

Source: Linux `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`. Calls from 424 on have
one number everywhere. A call that an architecture lacks has a dash.
"""

import platform
from collections.abc import Mapping

NEWEST_KNOWN = 456
"""futex_requeue. What came later is unknown to the filter and answers ENOSYS, as on an older kernel."""

DENIED_TABLE = """
# start another program or process (clone is decided by its flags)
fork 57 -, vfork 58 -, execve 59 221, execveat 322 281
# look into, steer or signal other processes
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, kcmp 312 272, pidfd_open 434 434,
pidfd_getfd 438 438, pidfd_send_signal 424 424, process_madvise 440 440, process_mrelease 448 448, tkill 200
130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240
# sockets (socketpair and sendto are decided by their arguments)
socket 41 198, bind 49 200, connect 42 203, listen 50 201, accept 43 202, accept4 288 242, sendmsg 46 211,
sendmmsg 307 269, setsockopt 54 208
# namespaces and mounts
unshare 272 97, setns 308 268, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, open_tree 428
428, move_mount 429 429, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433, mount_setattr 442
442
# kernel features with a large surface
bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, io_uring_setup 425 425, io_uring_enter 426 426,
io_uring_register 427 427, io_setup 206 0, io_submit 209 2, keyctl 250 219, add_key 248 217, request_key 249
218, seccomp 317 277, landlock_create_ruleset 444 444, landlock_add_rule 445 445, landlock_restrict_self 446
446, fanotify_init 300 262, fanotify_mark 301 263, inotify_init 253 -, inotify_init1 294 26, inotify_add_watch
254 27, lookup_dcookie 212 18
# memory and messages outside the address-space limit
memfd_create 319 279, memfd_secret 447 447, shmget 29 194, shmat 30 196, shmctl 31 195, msgget 68 186, msgsnd 69
189, msgrcv 70 188, msgctl 71 187, semget 64 190, semop 65 193, semctl 66 191, semtimedop 220 192, mq_open 240
180, mq_unlink 241 181, mq_notify 244 184, mq_timedsend 242 182, mq_timedreceive 243 183, mq_getsetattr 245 185,
vmsplice 278 75
# the machine
settimeofday 164 170, clock_settime 227 112, adjtimex 159 171, clock_adjtime 305 266, init_module 175 105,
finit_module 313 273, delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294, reboot 169 142, acct
163 89, quotactl 179 60, quotactl_fd 443 443, swapon 167 224, swapoff 168 225, iopl 172 -, ioperm 173 -,
modify_ldt 154 -, personality 135 92, nfsservctl 180 42, vhangup 153 58, syslog 103 116, sethostname 170 161,
setdomainname 171 162, sync 162 81, syncfs 306 267, cachestat 451 451, _sysctl 156 -, sysfs 139 -, ustat 136 -,
uselib 134 -
# identity and scheduling, own or another's
setuid 105 146, setgid 106 144, setreuid 113 145, setregid 114 143, setresuid 117 147, setresgid 119 149,
setgroups 116 159, setfsuid 122 151, setfsgid 123 152, capset 126 91, sched_setscheduler 144 119, sched_setparam
142 118, sched_setattr 314 274, sched_setaffinity 203 122, setpriority 141 140, ioprio_set 251 30, move_pages
279 239, migrate_pages 256 238, mbind 237 235, set_mempolicy 238 237, set_mempolicy_home_node 450 450
# what Landlock does not guard: owners and attributes, by path and by descriptor, device nodes, file handles
chown 92 -, lchown 94 -, fchown 93 55, fchownat 260 54, setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7,
removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16, truncate 76 45, mknod 133 -, mknodat 259 33,
openat2 437 437, name_to_handle_at 303 264, open_by_handle_at 304 265
"""

IGNORED_TABLE = """
# modes and times, which Landlock does not guard either: answered as if done, for those who copy files set them
chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, utime 132 -, utimes 235 -, futimesat 261 -,
utimensat 280 88
"""

UNSUPPORTED_TABLE = """
# attributes read: as on a file system that has none, which those who copy files expect
getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12, flistxattr 196 13
# room taken without writing, at once and past the limit on a file's size; libc then writes instead
fallocate 285 47
"""

DECIDED_TABLE = """
# decided by their arguments
clone 56 220, clone3 435 435, kill 62 129, tgkill 234 131, prlimit64 302 261, prctl 157 167, socketpair 53 199,
sendto 44 206, fcntl 72 25, ioctl 16 29, open 2 -, openat 257 56, close_range 436 436
"""

_COLUMNS = {"x86_64": 1, "aarch64": 2}


def architecture() -> str | None:
    """x86_64 or aarch64; None for a machine that has no table here."""
    machine = platform.machine()
    return machine if machine in _COLUMNS else None


def numbers(table: str, machine: str) -> Mapping[str, int]:
    """Name to number on a machine, without the calls it lacks."""
    words = [word for line in table.splitlines() if not line.startswith("#") for word in line.replace(",", " ").split()]
    column = _COLUMNS[machine]
    rows = [words[start : start + 3] for start in range(0, len(words), 3)]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
