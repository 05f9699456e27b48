//! Which shared libraries a program needs, by asking the loader of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The libraries and the loader of a program, by the paths under which the loader looks for them.
pub(super) fn of(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd: install libc-bin")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        parse(&text)
    } else if complaint.contains("not a dynamic executable") || text.contains("not a dynamic executable") {
        Ok(Vec::new())
    } else {
        bail!("ldd cannot read {}: {}", program.display(), complaint.trim())
    }
}

/// Reads lines such as `libc.so.6 => /lib/libc.so.6 (0x1)`, `/lib64/ld.so.2 (0x1)` and `linux-vdso.so.1 (0x1)`.
fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line == "statically linked" {
            return Ok(Vec::new());
        }
        let path = match line.split_once("=>") {
            Some((name, target)) if target.trim_start().starts_with("not found") => {
                bail!("the library {} is not on this machine: install it", name.trim())
            }
            Some((_, target)) => target,
            None => line,
        };
        let path = path.split(" (").next().unwrap_or_default().trim();
        // What has no path is mapped by the kernel.
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_loader_are_found_and_the_kernels_own_is_not() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            parse(text).unwrap(),
            [PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"), PathBuf::from("/lib64/ld-linux-x86-64.so.2")]
        );
        assert!(parse("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_missing_library_is_an_error_that_names_it() {
        let error = parse("\tlibssl.so.3 => not found\n").unwrap_err().to_string();
        assert!(error.contains("libssl.so.3"), "{error}");
    }
}
