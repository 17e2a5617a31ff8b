//! The buffer into which pixels are grabbed: memory shared with the X server where that can be,
//! own memory that is filled by way of the connection elsewhere.

use super::display::Display;
use super::say_once;
use crate::rect::Rect;
use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Once;
use x11rb::connection::Connection as _;
use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::shm::{self, ConnectionExt as _, Seg};
use x11rb::protocol::xproto::{ConnectionExt as _, GetImageReply, ImageFormat};
use x11rb::rust_connection::RustConnection;

/// Memory that grabbed pixels are put into, one rectangle behind the other.
pub(super) struct Buffer {
    /// Whether memory can be shared with the server, as far as is known.
    can_share: bool,
    memory: Memory,
}

enum Memory {
    Shared { seg: Seg, map: MmapMut },
    Own(Vec<u32>),
}

/// Pixels that were asked for: how many, and where they are put.
pub(super) struct Asked<'c> {
    at: usize,
    pixels: usize,
    answer: Answer<'c>,
}

enum Answer<'c> {
    Shared(Cookie<'c, RustConnection, shm::GetImageReply>),
    Own(Cookie<'c, RustConnection, GetImageReply>),
}

impl Buffer {
    pub(super) fn new(display: &Display) -> Result<Self, ReplyError> {
        Ok(Self { can_share: can_share(display)?, memory: Memory::Own(Vec::new()) })
    }

    /// Makes room for so many pixels; what was in the buffer may be lost.
    pub(super) fn reserve(&mut self, display: &Display, pixels: usize) -> Result<(), ReplyError> {
        if self.can_share {
            if let Memory::Shared { seg, map } = &self.memory {
                if map.len() >= pixels * 4 {
                    return Ok(());
                }
                display.connection.shm_detach(*seg)?;
            }
            self.memory = Memory::Own(Vec::new());
            match share(display, pixels) {
                Ok((seg, map)) => {
                    self.memory = Memory::Shared { seg, map };
                    return Ok(());
                }
                Err(Unshared::Lost(e)) => return Err(e.into()),
                Err(Unshared::Refused(cause)) => {
                    self.can_share = false;
                    say_unshared(&display.name, &cause);
                }
            }
        }
        if let Memory::Own(own) = &mut self.memory
            && own.len() < pixels
        {
            *own = vec![0; pixels];
        }
        Ok(())
    }

    /// Asks for a rectangle of the root window, to be put at pixel `at`.
    pub(super) fn ask<'c>(
        &self,
        display: &'c Display,
        rect: &Rect,
        at: usize,
    ) -> Result<Asked<'c>, ConnectionError> {
        // A root window is never larger than these types.
        let (x, y) = (rect.x as i16, rect.y as i16);
        let (width, height) = (rect.width as u16, rect.height as u16);
        let (connection, root) = (&display.connection, display.root);
        let format = ImageFormat::Z_PIXMAP;
        let answer = match &self.memory {
            Memory::Shared { seg, .. } => {
                let (format, at) = (format.into(), (at * 4) as u32);
                let cookie = connection.shm_get_image(
                    root,
                    x,
                    y,
                    width,
                    height,
                    u32::MAX,
                    format,
                    *seg,
                    at,
                )?;
                Answer::Shared(cookie)
            }
            Memory::Own(_) => {
                Answer::Own(connection.get_image(format, root, x, y, width, height, u32::MAX)?)
            }
        };
        Ok(Asked { at, pixels: rect.area(), answer })
    }

    /// Waits until the pixels are there.
    pub(super) fn take(&mut self, asked: Asked<'_>) -> Result<(), ReplyError> {
        let Asked { at, pixels, answer } = asked;
        match answer {
            Answer::Shared(cookie) => is_size(cookie.reply()?.size as usize, pixels),
            Answer::Own(cookie) => {
                let data = cookie.reply()?.data;
                is_size(data.len(), pixels)?;
                let Memory::Own(own) = &mut self.memory else { return Ok(()) };
                let (from, _) = data.as_chunks::<4>();
                for (to, from) in own.iter_mut().skip(at).zip(from) {
                    *to = u32::from_ne_bytes(*from);
                }
                Ok(())
            }
        }
    }

    /// What is in the buffer.
    pub(super) fn pixels(&self) -> &[u32] {
        match &self.memory {
            // A mapping begins with a page, and is made of whole pixels.
            Memory::Shared { map, .. } => bytemuck::cast_slice(map),
            Memory::Own(own) => own,
        }
    }

    /// What is in the buffer, to be drawn over.
    pub(super) fn pixels_mut(&mut self) -> &mut [u32] {
        match &mut self.memory {
            Memory::Shared { map, .. } => bytemuck::cast_slice_mut(map),
            Memory::Own(own) => own,
        }
    }
}

/// A server that gives more or less than it was asked for is not to be believed.
fn is_size(bytes: usize, pixels: usize) -> Result<(), ReplyError> {
    if bytes == pixels * 4 {
        return Ok(());
    }
    let words = format!("it gave {bytes} bytes of {pixels} pixels");
    Err(ConnectionError::from(io::Error::new(io::ErrorKind::InvalidData, words)).into())
}

/// Whether the server can be given a descriptor of memory to share.
fn can_share(display: &Display) -> Result<bool, ReplyError> {
    if !display.has(shm::X11_EXTENSION_NAME) {
        say_unshared(&display.name, "it has no MIT-SHM");
        return Ok(false);
    }
    let version = display.connection.shm_query_version()?.reply()?;
    if (version.major_version, version.minor_version) < (1, 2) {
        say_unshared(&display.name, "its MIT-SHM is older than 1.2");
        return Ok(false);
    }
    Ok(true)
}

fn say_unshared(display: &str, cause: &str) {
    static SAID: Once = Once::new();
    say_once(&SAID, || {
        format!("the display {display} shares no memory ({cause}): capturing is slower")
    });
}

/// Why no memory is shared.
enum Unshared {
    /// It can't be, and is done without.
    Refused(String),
    /// The connection has failed.
    Lost(ConnectionError),
}

/// Memory for so many pixels that the server writes into.
fn share(display: &Display, pixels: usize) -> Result<(Seg, MmapMut), Unshared> {
    let refused = |e: &dyn std::fmt::Display| Unshared::Refused(e.to_string());
    let (fd, map) = memory(pixels * 4).map_err(|e| refused(&e))?;
    let seg = display.connection.generate_id().map_err(|e| refused(&e))?;
    // One on another machine refuses it.
    let attached =
        display.connection.shm_attach_fd(seg, fd, false).map_err(Unshared::Lost)?.check();
    match attached {
        Ok(()) => Ok((seg, map)),
        Err(ReplyError::X11Error(e)) => Err(Unshared::Refused(format!("{:?}", e.error_kind))),
        Err(ReplyError::ConnectionError(e)) => Err(Unshared::Lost(e)),
    }
}

/// Memory of so many bytes that can be shared: as a descriptor and mapped.
#[allow(unsafe_code, reason = "memory is mapped that another process writes")]
fn memory(bytes: usize) -> io::Result<(OwnedFd, MmapMut)> {
    let fd = memfd_create("hightower", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, bytes as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    // SAFETY: nobody can take pages away: the size is sealed. The server writes only while a
    // request for pixels is under way, and the answers to all of them are awaited before a slice
    // of this memory is made, which ends before the next request.
    let map = unsafe { MmapMut::map_mut(&fd)? };
    Ok((fd, map))
}
