//! A pseudo-terminal for the demo to run on.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::process::Demo;

/// Both ends of a pseudo-terminal.
pub struct Terminal {
    near: File,
    far: File,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Opens one with this many columns.
    pub fn open(columns: u16) -> Result<Self, Failed> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let name = ptsname(&near, Vec::new())?;
        // It must not become the terminal of these tests.
        let no_control = i32::try_from(OFlags::NOCTTY.bits())?;
        let far = OpenOptions::new().read(true).write(true).custom_flags(no_control).open(name.to_str()?)?;
        tcsetwinsize(&far, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        let (near, said) = (File::from(near), Arc::default());
        let (mut reader, into) = (near.try_clone()?, Arc::clone(&said));
        // This thread ends with the terminal, or with the tests.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                lock(&into).extend(&bytes[..n]);
            }
        });
        Ok(Self { near, far, said })
    }

    /// Starts the demo on it, with these arguments and one environment variable.
    pub fn start(&self, args: &[&str], variable: (&str, &str)) -> Result<Demo, Failed> {
        Ok(Demo::start_on(&self.far, args, variable)?)
    }

    pub fn press(&self, key: u8) -> Result<(), Failed> {
        Ok((&self.near).write_all(&[key])?)
    }

    /// Returns everything that was printed on it.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&lock(&self.said)).into_owned()
    }

    /// Waits until a text was printed, line breaks aside.
    pub fn wait_for(&self, text: &str, bound: Duration) -> Result<(), Failed> {
        let deadline = Instant::now() + bound;
        let unbroken = |said: String| said.split_whitespace().collect::<Vec<_>>().join(" ");
        while !unbroken(self.said()).contains(text) {
            if Instant::now() > deadline {
                return Err(Failed::from(format!("{text:?} never came\n{}", self.said())));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Returns its modes, which decide how it treats input and output.
    pub fn modes(&self) -> Result<String, Failed> {
        Ok(format!("{:?}", tcgetattr(&self.far)?))
    }
}

fn lock(said: &Mutex<Vec<u8>>) -> std::sync::MutexGuard<'_, Vec<u8>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}
