//! Brings up the loopback device with the testbed's two addresses, by talking to the kernel directly.
//!
//! Three messages do not justify a netlink library or the presence of iproute2.

use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

use crate::cluster::addresses;

const LOOPBACK: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
const CREATE: u16 = 0x400;

pub(super) fn set_up_loopback() -> Result<()> {
    exchange(&message(RTM_NEWLINK, REQUEST_AND_ACKNOWLEDGE, &link_up()))
        .context("cannot bring up the loopback device")?;
    for address in [addresses::API_SERVICE, addresses::NODE] {
        exchange(&message(RTM_NEWADDR, REQUEST_AND_ACKNOWLEDGE | CREATE, &new_address(address)))
            .context("cannot add an address to the loopback device")?;
    }
    Ok(())
}

/// struct ifinfomsg: index of the device, IFF_UP as value and as mask.
fn link_up() -> Vec<u8> {
    [&[0, 0, 0, 0][..], &LOOPBACK.to_ne_bytes(), &1_u32.to_ne_bytes(), &1_u32.to_ne_bytes()].concat()
}

/// struct ifaddrmsg (IPv4, /32, no flags, global) and the address as both attributes.
fn new_address(address: [u8; 4]) -> Vec<u8> {
    let attribute = |kind: u16| [&8_u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &address].concat();
    [&[2, 32, 0, 0][..], &LOOPBACK.to_ne_bytes(), &attribute(IFA_LOCAL), &attribute(IFA_ADDRESS)].concat()
}

/// struct nlmsghdr and the body.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len().saturating_add(16)).unwrap_or(u32::MAX);
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &1_u32.to_ne_bytes(),
        &0_u32.to_ne_bytes(),
        body,
    ]
    .concat()
}

fn exchange(message: &[u8]) -> Result<()> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(socket.as_raw_fd(), message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0_u8; 4096];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let code = error_code(answer.get(..length).unwrap_or_default())?;
    ensure!(code == 0, std::io::Error::from_raw_os_error(code.saturating_neg()));
    Ok(())
}

/// The code of an acknowledgement: zero, or a negative error number.
fn error_code(answer: &[u8]) -> Result<i32> {
    let bytes = answer.get(16..20).context("the kernel's answer is too short")?;
    Ok(i32::from_ne_bytes(bytes.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_sizes_that_the_kernel_expects() {
        assert_eq!(message(RTM_NEWLINK, 5, &link_up()).len(), 32);
        let add = message(RTM_NEWADDR, 5 | CREATE, &new_address([10, 250, 0, 1]));
        assert_eq!(add.len(), 40);
        assert_eq!(add[..4], 40_u32.to_ne_bytes());
        assert_eq!(add[28..32], [10, 250, 0, 1]);
        assert_eq!(add[36..], [10, 250, 0, 1]);
    }

    #[test]
    fn an_acknowledgement_carries_the_error_number() {
        let mut answer = vec![0; 16];
        answer.extend((-17_i32).to_ne_bytes());
        assert_eq!(error_code(&answer).unwrap(), -17);
        assert!(error_code(&[0; 8]).is_err());
    }
}
