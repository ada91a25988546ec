//! A disk that does not keep what it was given.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::kill::{book, build, sign_in, start};
use crate::server::Server;
use crate::support::{Engine, key};

/// Stands before the C library: `fdatasync` fails as soon as the file is there that `DISK_FAILS` names.
const DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
int fdatasync(int file) {
    const char *fails = getenv("DISK_FAILS");
    if (fails && access(fails, F_OK) == 0) { errno = EIO; return -1; }
    int (*sync)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    return sync(file);
}
"#;

/// With the compiler that made SQLite.
fn compile(directory: &Path) -> String {
    let (source, library) = (directory.join("disk.c"), directory.join("disk.so"));
    std::fs::write(&source, DISK).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(made.expect("a C compiler").success());
    library.to_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_disk_that_fails_ends_the_process_and_nobody_is_answered_before_the_next_start_on_sqlite()
{
    let clinic = build(Engine::Sqlite).await;
    let directory = clinic.database.directory().to_owned();
    let (library, fails) = (compile(&directory), directory.join("fails"));
    // By another name: it is the file's own log that must come to disk.
    let url = clinic.database.url();
    let link = directory.join("link.db");
    std::os::unix::fs::symlink(url.strip_prefix("sqlite:").unwrap(), &link).unwrap();
    let link = format!("sqlite:{}", link.display());
    let settings = [
        ("DATABASE_URL", link.as_str()),
        ("LD_PRELOAD", &library),
        ("DISK_FAILS", fails.to_str().unwrap()),
    ];
    let mut server = Server::start_with(&clinic.database, &settings).await;
    let wish = |number: usize| {
        json!({
            "service": clinic.service, "practitioner": clinic.doctor,
            "patient": clinic.patients[number % 2], "start": start(number),
        })
    };
    let registrar = sign_in(&clinic, &server).await;
    let kept = book(&registrar, &key(), &wish(0)).await.expect("an answer");
    std::fs::write(&fails, "").unwrap();
    let lost = key();
    assert_eq!(book(&registrar, &lost, &wish(1)).await, None, "nobody hears that it is booked");
    assert_eq!(server.ended().await, Some(74));

    std::fs::remove_file(&fails).unwrap();
    let server = Server::start(&clinic.database).await;
    let registrar = sign_in(&clinic, &server).await;
    let visit = registrar.get(&format!("/v1/appointments/{kept}")).await.expect(200);
    assert_eq!(visit["status"], "booked");
    let again = registrar.once("/v1/appointments", &lost, &wish(1)).await.expect(201);
    assert_eq!(again["status"], "booked");
    assert_eq!(clinic.database.count("SELECT count(*) AS n FROM appointments"), 2);
}
