//! A real Slurm of two nodes on this machine, in a folder of its own and on loopback alone. All of it ends with this
//! process, however that ends.

use anyhow::{Context, Result, bail, ensure};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

/// Daemons in the order in which they were started.
pub struct Loopback {
    pub dir: PathBuf,
    munged: Option<Child>,
    controller: Option<Child>,
    nodes: [Option<Child>; 2],
}

/// The nodes' names.
pub const NODES: [&str; 2] = ["n1", "n2"];

impl Loopback {
    /// Starts everything in `dir`, which is fresh, and waits until both nodes are idle.
    pub fn start(dir: &Path) -> Result<Loopback> {
        for folder in ["state", "pids", "log", "munge"] {
            fs::create_dir_all(dir.join(folder))
                .with_context(|| format!("{} cannot be created", dir.display()))?;
        }
        fs::set_permissions(dir.join("munge"), fs::Permissions::from_mode(0o755))?;
        let ports = ports()?;
        fs::write(dir.join("slurm.conf"), config(dir, ports))?;
        let mut slurm = Loopback {
            dir: dir.to_owned(),
            munged: None,
            controller: None,
            nodes: [None, None],
        };
        slurm.start_munged()?;
        slurm.start_controller()?;
        for node in 0..NODES.len() {
            slurm.start_node(node)?;
        }
        Ok(slurm)
    }

    fn start_munged(&mut self) -> Result<()> {
        let at = |name: &str| self.dir.join("munge").join(name);
        let key = at("key");
        let mut random = [0_u8; 1024];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut random)?;
        fs::write(&key, random)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let socket = at("socket");
        let arguments = [
            format!("--socket={}", socket.display()),
            format!("--key-file={}", key.display()),
            format!("--pid-file={}", at("pid").display()),
            format!("--log-file={}", at("log").display()),
            format!("--seed-file={}", at("seed").display()),
        ];
        let mut munged = self.daemon("munged");
        munged
            .args(["munged", "--foreground", "--force"])
            .args(arguments);
        self.munged = Some(munged.spawn().context("munged cannot be started")?);
        until("munged to listen", Duration::from_secs(10), || {
            socket.exists()
        })
    }

    /// The controller, with what it knew before.
    pub fn start_controller(&mut self) -> Result<()> {
        let mut controller = self.daemon("slurmctld");
        controller.args(["slurmctld", "-D"]);
        self.controller = Some(controller.spawn().context("slurmctld cannot be started")?);
        Ok(())
    }

    /// A node with processes of its own, so that all of them can be ended at once; waits until it is idle.
    pub fn start_node(&mut self, node: usize) -> Result<()> {
        let name = NODES[node];
        let mut daemon = self.daemon(&format!("slurmd-{name}"));
        // The first process of the node outlives slurmd.
        let script = format!("slurmd -D -N {name}; exec sleep 100000");
        daemon.args([
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            &script,
        ]);
        self.nodes[node] = Some(daemon.spawn().context("slurmd cannot be started")?);
        until(
            &format!("{name} to be idle"),
            Duration::from_secs(60),
            || {
                self.says("sinfo", &["-h", "-n", name, "-o", "%T"])
                    .is_ok_and(|state| state.trim() == "idle")
            },
        )
    }

    pub fn kill_controller(&mut self) -> Result<()> {
        end(&mut self.controller);
        Ok(())
    }

    /// Ends a node and all that runs on it.
    pub fn kill_node(&mut self, node: usize) {
        end(&mut self.nodes[node]);
    }

    /// Ends a node's slurmd alone: what runs on it continues.
    pub fn kill_slurmd(&self, node: usize) -> Result<()> {
        let unshare = self.nodes[node]
            .as_ref()
            .context("the node cannot be found")?
            .id();
        let first = children(unshare);
        let slurmd = first
            .iter()
            .flat_map(|&pid| children(pid))
            .find(|&pid| is(pid, "slurmd"));
        signal(slurmd.context("the node's slurmd cannot be found")?, "KILL")
    }

    /// The process of `cass` on a node.
    pub fn cass(&self, node: usize) -> Option<u32> {
        let mut pids = vec![self.nodes[node].as_ref()?.id()];
        while let Some(pid) = pids.pop() {
            if is(pid, "cass") {
                return Some(pid);
            }
            pids.extend(children(pid));
        }
        None
    }

    /// Output of a program of Slurm.
    pub fn says(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(program)
            .args(arguments)
            .env("SLURM_CONF", self.conf())
            .output()?;
        ensure!(
            output.status.success(),
            "{program} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The number of a task that runs.
    pub fn running_task(&self) -> Result<String> {
        let tasks = self.says("squeue", &["-h", "-t", "R", "-o", "%A"])?;
        let task = tasks.split_whitespace().next();
        Ok(task.context("a running task cannot be found")?.to_owned())
    }

    /// When the controller last wrote down what it knows of its jobs.
    pub fn saved(&self) -> Option<SystemTime> {
        fs::metadata(self.dir.join("state/job_state"))
            .and_then(|of| of.modified())
            .ok()
    }

    pub fn conf(&self) -> PathBuf {
        self.dir.join("slurm.conf")
    }

    /// A command that is killed when this process ends, and writes into a log.
    fn daemon(&self, log: &str) -> Command {
        let log = fs::File::create(self.dir.join("log").join(format!("{log}.txt")));
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .env("SLURM_CONF", self.conf())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_or_else(|_| Stdio::null(), Stdio::from));
        command
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        let [one, two] = &mut self.nodes;
        for daemon in [one, two, &mut self.controller, &mut self.munged] {
            end(daemon);
        }
    }
}

fn end(daemon: &mut Option<Child>) {
    if let Some(mut child) = daemon.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn ports() -> Result<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener
            .and_then(|listener| listener.local_addr())
            .context("a free port cannot be found")?
            .port();
    }
    Ok(ports)
}

fn config(dir: &Path, [controller, n1, n2]: [u16; 3]) -> String {
    let dir = dir.display();
    let node = |name: &str, port: u16| {
        format!(
            "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN\n"
        )
    };
    format!(
        "ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort={controller}\nSlurmUser=root\n\
         AuthType=auth/munge\nAuthInfo=socket={dir}/munge/socket,cred_expire=5\n\
         CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n\
         StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool.%n\n\
         SlurmctldPidFile={dir}/pids/slurmctld.pid\nSlurmdPidFile={dir}/pids/slurmd.%n.pid\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
         JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\nMpiDefault=none\n\
         ReturnToService=2\nSlurmdTimeout=10\nKillWait=5\n\
         SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0\n\
         {}{}PartitionName=main Nodes=n1,n2 Default=YES State=UP\n",
        node(NODES[0], n1),
        node(NODES[1], n2)
    )
}

/// Sends a signal.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()?;
    ensure!(status.success(), "{name} cannot be sent to process {pid}");
    Ok(())
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn is(pid: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
}

/// Waits for what must become true.
pub fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    let since = Instant::now();
    while !holds() {
        if since.elapsed() > patience {
            bail!("{what}: not seen within {} s", patience.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
