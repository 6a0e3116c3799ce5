//! A `cass` that goes on beside the test.

use crate::bench::Bench;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

impl Bench {
    pub fn start(&self, args: &str) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }
}

/// A process that ends with its owner.
pub struct Running(pub Child);

impl Running {
    /// Polls until `there` says so; the process must not end before.
    pub fn until(&mut self, mut there: impl FnMut() -> bool) {
        while !there() {
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("it ended before it could be stopped: {status}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; the exit code, if it was not killed, and what it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        use std::io::Read;
        let mut said = String::new();
        let stderr = self.0.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
