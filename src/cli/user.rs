//! `feldsher user`: the first people, before anybody can sign in.

use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::account::{self, NewAccount};
use feldsher::base::app::App;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::Config;
use feldsher::base::ctx::as_system;
use feldsher::base::error::Error;
use feldsher::base::language::Language;
use feldsher::base::tx::Tx;
use feldsher::organization::OrganizationId;
use feldsher::organization::member::{self, Login, NewMember, OfficeRole};

use crate::cli::serve::close;
use crate::cli::{say, wait};

/// What can be done with people.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Add somebody, and print the token that sets their first password, once
    Add(Add),
}

/// Whom to add.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: feldsher user add --login admin --name 'Anna Petrova' --system-admin\n\
    Everybody else is added on the pages or through the API. On the embedded database, stop the \
    server first."
)]
pub struct Add {
    /// What they sign in with
    #[arg(long)]
    login: Login,
    /// The name others see
    #[arg(long)]
    name: String,
    /// The language of texts to them: en or ru
    #[arg(long, default_value = "en")]
    language: Language,
    /// They administer the installation
    #[arg(long, required_unless_present = "organization")]
    system_admin: bool,
    /// They work in this clinic (its id)
    #[arg(long, value_name = "ID", requires = "role", conflicts_with = "system_admin")]
    organization: Option<OrganizationId>,
    /// As what: registrar or clinic_admin
    #[arg(long, requires = "organization")]
    role: Option<OfficeRole>,
}

/// Does it.
pub fn run(user: User, config: Config) -> anyhow::Result<()> {
    let User::Add(add) = user;
    wait(async {
        let (app, threads) = App::open(config, None, Arc::new(SystemClock)).await?;
        let page = match app.config.http.public_url.trim_end_matches('/') {
            "" => format!("http://{}", app.config.http.listen),
            url => url.to_owned(),
        };
        let added = self::add(&app, add).await;
        drop(app);
        close(threads).await;
        let token = added?;
        say(format_args!(
            "{token}\n\nThis token sets the first password, once. Open {page}/doctor#token={token}"
        ))
    })
}

async fn add(app: &Arc<App>, add: Add) -> anyhow::Result<String> {
    let Add { login, name, language, organization, role, .. } = add;
    let added = match (organization, role) {
        (Some(clinic), Some(role)) => {
            let new = NewMember { name: name.parse()?, role, login, language: Some(language) };
            as_system(app, move |tx| member::create(tx, clinic, new))
                .await
                .map(|member| member.sign_in_token)
        }
        _ => {
            let new = NewAccount {
                name,
                language,
                login: Some(login.as_str().to_owned()),
                phone: None,
                password_hash: None,
                system_admin: true,
            };
            as_system(app, move |tx| administrator(tx, new)).await.map(Some)
        }
    };
    let token = added.map_err(|error| match &error {
        Error::Refused(refusal) => {
            anyhow::anyhow!("{} ({error})", refusal.problem.detail(Language::English))
        }
        _ => anyhow::Error::from(error),
    })?;
    token.context("this login has a password already; the clinic is added to it")
}

/// Makes an administrator of the installation; only the command line can.
fn administrator(tx: &mut Tx, new: NewAccount) -> Result<String, Error> {
    tx.allow(Action::CreateAdministrator, &Facts::NONE)?;
    let account = account::create(tx, new)?;
    tx.record(Action::CreateAdministrator, "Account", account.0, &Facts::NONE);
    account::issue_one_time_token(tx, account)
}
