//! A PostgreSQL of the test's own, which can be restarted and crashed.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

pub struct Cluster {
    directory: PathBuf,
    port: u16,
}

/// Where PostgreSQL's programs are: in the path, or where Debian puts them.
fn program(name: &str) -> PathBuf {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
    if found.status.success() {
        return String::from_utf8(found.stdout).unwrap().trim().into();
    }
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed")
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed")
}

impl Cluster {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("feldsher-cluster-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let cluster = Self { directory, port };
        // PostgreSQL refuses to run as root.
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&cluster.directory).status();
            assert!(owned.unwrap().success());
        }
        let data = cluster.directory.join("data");
        let made = cluster
            .run("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "feldsher", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nport = {port}\n\
             max_connections = 200\n"
        );
        let settings_path = data.join("postgresql.auto.conf");
        std::fs::write(settings_path, settings).unwrap();
        cluster.control(&["-w", "start"]);
        cluster
    }

    pub fn url(&self) -> String {
        format!("postgres://feldsher@127.0.0.1:{}/postgres", self.port)
    }

    pub fn up(&self) {
        self.control(&["-w", "start"]);
    }

    /// `fast` ends it in order, `immediate` is a crash.
    pub fn down(&self, how: &str) {
        self.control(&["-w", "-m", how, "stop"]);
    }

    fn control(&self, what: &[&str]) {
        let done = self
            .run("pg_ctl")
            .arg("-D")
            .arg(self.directory.join("data"))
            .arg("-l")
            .arg(self.directory.join("log"))
            .args(what)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "pg_ctl {what:?}");
    }

    fn run(&self, name: &str) -> Command {
        let program = program(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.directory);
        command
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim() == "0"
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = self
            .run("pg_ctl")
            .arg("-D")
            .arg(self.directory.join("data"))
            .args(["-m", "immediate", "-w", "stop"])
            .output();
        drop(stop);
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
