//! `feldsher config`: what holds, and whether it can.

use clap::Subcommand;
use feldsher::base::config::Config;
use serde_json::Value;

use crate::cli::say;

/// What can be asked about the settings.
#[derive(Debug, Subcommand)]
pub enum Show {
    /// Say "ok", or what is wrong
    #[command(after_help = "Example: feldsher config check --config /etc/feldsher.toml")]
    Check,
    /// Print what holds, as TOML, with secrets masked
    #[command(after_help = "Example: feldsher config print --config /etc/feldsher.toml")]
    Print,
}

/// Does it; the settings have been read and checked by now.
pub fn run(show: &Show, config: &Config) -> anyhow::Result<()> {
    match show {
        Show::Check => say("ok"),
        Show::Print => say(toml(&serde_json::to_value(config)?).trim()),
    }
}

/// Our settings are tables of numbers, strings and lists of strings, whose JSON form is TOML.
fn toml(settings: &Value) -> String {
    let mut text = String::new();
    table(settings, "", &mut text);
    text
}

fn table(value: &Value, path: &str, text: &mut String) {
    let Some(members) = value.as_object() else { return };
    let (tables, plain): (Vec<_>, Vec<_>) =
        members.iter().partition(|(_, member)| member.is_object());
    if !plain.is_empty() {
        text.push_str(&format!("\n[{path}]\n"));
    }
    for (name, member) in plain {
        text.push_str(&format!("{name} = {member}\n"));
    }
    for (name, member) in tables {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        table(member, &path, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_again_and_hides_the_secrets() {
        let secret = ("FELDSHER__ICE__TURN_SECRET".to_owned(), "open sesame".to_owned());
        let config = Config::layered(None, [secret]).unwrap();
        let text = toml(&serde_json::to_value(&config).unwrap());
        assert!(text.contains("turn_secret = \"***\"") && !text.contains("sesame"), "{text}");
        assert!(text.contains("[sms.http]") && text.contains("hold_minutes = 10"), "{text}");
        let file = std::env::temp_dir().join(format!("feldsher-print-{}.toml", std::process::id()));
        let readable = text.replace("url = \"***\"", "url = \"sqlite:x\"");
        std::fs::write(&file, readable).unwrap();
        let again = Config::layered(Some(&file), []);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(again.unwrap().sms.http.body, config.sms.http.body);
    }
}
