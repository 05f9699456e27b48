//! The namespaces of a testbed: what is hidden from the host, what of the host stays visible.
//!
//! Kubelet and containerd write to fixed places of the file system. Those places get a memory file system
//! that exists only here, so that the host never sees a file of them.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

use super::netlink;
use crate::cluster::{Layout, layout};
use crate::parts::Parts;

/// Where kubelet, containerd, runc and the CNI plugins write, and where Alertmanager looks for templates.
const COVERED: [&str; 4] = ["/run", "/var/log", "/var/lib", "/usr/share"];
/// What a kernel with one cgroup hierarchy must be told to pass on to Pods.
const CONTROLLERS: [&str; 7] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma"];

/// Makes the namespaces of the process that is started next.
pub(super) fn unshare() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC)
        .context("cannot make namespaces: run it as root, on a machine or in a container that may (CAP_SYS_ADMIN)")
}

pub(super) fn settle(layout: &Layout, parts: &Parts) -> Result<()> {
    // Not earlier: whoever launches the supervisor still has to write where the host can read.
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    propagate(MsFlags::MS_PRIVATE)?;
    let kept = [
        Kept::open(layout.state())?,
        Kept::open(parts.kubernetes.clone())?,
        Kept::open(parts.debian.clone())?,
        Kept::open(parts.python.clone())?,
    ];
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)
        .context("cannot mount /proc for the new PID namespace")?;
    for path in COVERED {
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .with_context(|| format!("cannot cover {path}"))?;
    }
    for place in &kept {
        place.show()?;
    }
    let templates = Path::new("/usr/share/prometheus");
    fs::create_dir_all(templates)?;
    bind(&parts.debian.join("usr/share/prometheus"), templates)?;
    fs::create_dir_all(layout::DATA)?;
    // Pods may ask for mount propagation; it ends at this namespace, which has no peer outside.
    propagate(MsFlags::MS_SHARED)?;
    make_cgroups(&layout.cgroup());
    netlink::set_up_loopback()
}

fn propagate(how: MsFlags) -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, how | MsFlags::MS_REC, None::<&str>)
        .context("cannot change how mounts propagate")
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot bind {} to {}", from.display(), to.display()))
}

/// A folder that must stay visible even if a folder above it is covered.
struct Kept {
    path: PathBuf,
    folder: File,
}

impl Kept {
    fn open(path: PathBuf) -> Result<Self> {
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path, folder })
    }

    fn show(&self) -> Result<()> {
        let inode = self.folder.metadata()?;
        let same = |other: fs::Metadata| other.ino() == inode.ino() && other.dev() == inode.dev();
        if fs::metadata(&self.path).is_ok_and(same) {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        bind(Path::new(&format!("/proc/self/fd/{}", self.folder.as_raw_fd())), &self.path)
    }
}

/// Makes the cgroup that all Pods live under. Kubelet reports what is missing better than this could.
fn make_cgroups(name: &str) {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() {
        let ours = top.join(name);
        let _ = fs::create_dir(&ours);
        for controller in CONTROLLERS {
            for folder in [top, &ours] {
                let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        return;
    }
    for hierarchy in fs::read_dir(top).into_iter().flatten().flatten() {
        let hierarchy = hierarchy.path();
        let ours = hierarchy.join(name);
        let _ = fs::create_dir(&ours);
        // A new cpuset is empty and takes no process.
        for file in ["cpuset.mems", "cpuset.cpus"] {
            if let Ok(value) = fs::read(hierarchy.join(file)) {
                let _ = fs::write(ours.join(file), value);
            }
        }
    }
}
