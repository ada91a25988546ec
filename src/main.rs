//! The command line.

mod cli;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use feldsher::base::config::Config;
use feldsher::base::db::{self, DatabaseUrl};
use feldsher::base::telemetry;
use feldsher::server;

use crate::cli::say;

/// Remote visits for villages that have no doctor.
#[derive(Debug, Parser)]
#[command(name = "feldsher", version, arg_required_else_help = true)]
#[command(after_help = "Example: feldsher demo\n\
    Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage.")]
struct Cli {
    /// Settings that win over the defaults (see config/feldsher.toml)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it out: an invented region with its people, in a database of its own
    Demo(cli::demo::Demo),
    /// Serve the clinic
    #[command(after_help = "Example: DATABASE_URL=sqlite:data/feldsher.db feldsher serve")]
    Serve,
    /// Bring the database to this version's schema; `serve` does so as well
    #[command(after_help = "Example: DATABASE_URL=postgres://db.example/feldsher feldsher migrate")]
    Migrate,
    /// People who may sign in
    #[command(subcommand, arg_required_else_help = true)]
    User(cli::user::User),
    /// Print the API's description (OpenAPI 3.1)
    #[command(after_help = "Example: feldsher openapi > openapi.json")]
    Openapi,
    /// The settings
    #[command(subcommand, arg_required_else_help = true)]
    Config(cli::config::Show),
    /// The relays of calls
    #[command(subcommand, arg_required_else_help = true)]
    Relay(cli::relay::Relay),
    /// Time zones
    #[command(subcommand, arg_required_else_help = true)]
    Tz(cli::tz::Tz),
    /// The audit log
    #[command(subcommand, arg_required_else_help = true)]
    Audit(cli::audit::Audit),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Whoever speaks TLS asks for the process's provider; there is one. A second try is no harm.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&format!("feldsher: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cli.config.as_deref();
    match cli.command {
        Command::Demo(demo) => cli::demo::run(&demo, file),
        Command::Serve => cli::serve::serve(settings(file)?),
        Command::Migrate => migrate(&settings(file)?),
        Command::User(user) => cli::user::run(user, settings(file)?),
        Command::Openapi => say(server::openapi().to_pretty_json()?),
        Command::Config(show) => cli::config::run(&show, &Config::load(file)?),
        Command::Relay(relay) => cli::relay::run(&relay, &settings(file)?),
        Command::Tz(tz) => cli::tz::run(&tz, settings(file)?),
        Command::Audit(audit) => cli::audit::run(&audit, &settings(file)?),
    }
}

/// The settings, with the log started as they say.
fn settings(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = Config::load(file)?;
    telemetry::start(&config.log)?;
    Ok(config)
}

fn migrate(config: &Config) -> anyhow::Result<()> {
    let url: DatabaseUrl = config.database.url.0.parse()?;
    let applied = db::migrate(&url)?;
    if applied.is_empty() {
        return say("the schema is up to date");
    }
    applied.iter().try_for_each(|version| say(format_args!("applied {version}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn every_command(
        command: &clap::Command,
        path: &str,
        visit: &mut dyn FnMut(&str, &clap::Command),
    ) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let path = format!("{path} {}", inner.get_name());
            visit(&path, inner);
            every_command(inner, &path, visit);
        }
    }

    #[test]
    fn every_command_that_does_something_shows_an_example() {
        Cli::command().debug_assert();
        let mut seen = Vec::new();
        every_command(&Cli::command(), "feldsher", &mut |path, command| {
            if command.get_subcommands().next().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example: ") && help.contains(path), "{path}: {help}");
                seen.push(path.to_owned());
            }
        });
        for path in [
            "demo",
            "serve",
            "migrate",
            "user add",
            "user enable",
            "config check",
            "relay check",
            "tz check",
            "audit verify",
        ] {
            assert!(seen.contains(&format!("feldsher {path}")), "{seen:?}");
        }
    }
}
