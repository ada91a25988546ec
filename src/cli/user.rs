//! `feldsher user`: the first people, before anybody can sign in.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::account::phone::Phone;
use feldsher::account::{self, NewAccount, SignsInWith};
use feldsher::base::app::App;
use feldsher::base::clock::SystemClock;
use feldsher::base::config::Config;
use feldsher::base::ctx::as_system;
use feldsher::base::error::Error;
use feldsher::base::language::Language;
use feldsher::base::problem;
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
    /// Let somebody sign in again who was shut out
    Enable(Enable),
}

/// Whom to add.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: feldsher user add --login admin --name 'Anna Petrova' --system-admin\n\
    Everybody else is added through the API (docs/api.md); there are no pages for that. On the \
    embedded database, stop the server first."
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

/// Whom to let in again.
#[derive(Debug, Args)]
#[command(after_help = "Example: feldsher user enable --phone +79131234567\n\
    A hundred wrong codes in a row shut a number. The patient's clinic can open it through the \
    API as well. On the embedded database, stop the server first.")]
#[group(required = true, multiple = false)]
pub struct Enable {
    /// A patient's number, with its country code
    #[arg(long)]
    phone: Option<Phone>,
    /// What somebody of the staff signs in with
    #[arg(long)]
    login: Option<Login>,
}

/// Does it.
pub fn run(user: User, config: Config) -> anyhow::Result<()> {
    wait(async {
        let (app, threads) = App::open(config, None, Arc::new(SystemClock)).await?;
        let done = match user {
            User::Add(add) => self::add(&app, add).await,
            User::Enable(enable) => self::enable(&app, enable).await,
        };
        drop(app);
        close(threads).await;
        say(done?)
    })
}

async fn enable(app: &Arc<App>, enable: Enable) -> anyhow::Result<String> {
    let known = match (enable.phone, enable.login) {
        (Some(phone), _) => SignsInWith::Phone(phone),
        (None, Some(login)) => SignsInWith::Login(login.as_str().to_owned()),
        (None, None) => bail!("say whom: --phone or --login"),
    };
    match as_system(app, move |tx| account::enable_by(tx, &known)).await {
        Ok(()) => Ok("they can sign in again".to_owned()),
        Err(error) if error.is(&problem::NOT_FOUND) => bail!("nobody signs in with that"),
        Err(error) => Err(error.into()),
    }
}

async fn add(app: &Arc<App>, add: Add) -> anyhow::Result<String> {
    let page = match app.config.http.public_url.trim_end_matches('/') {
        "" => format!("http://{}", app.config.http.listen),
        url => url.to_owned(),
    };
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
    let token = token.context("this login has a password already; the clinic is added to it")?;
    Ok(format!(
        "{token}\n\nThis token sets the first password, once. Open {page}/doctor#token={token}"
    ))
}

/// Makes an administrator of the installation; only the command line can.
fn administrator(tx: &mut Tx, new: NewAccount) -> Result<String, Error> {
    tx.allow(Action::CreateAdministrator, &Facts::NONE)?;
    let account = account::create(tx, new)?;
    tx.record(Action::CreateAdministrator, "Account", account.0, &Facts::NONE);
    account::issue_one_time_token(tx, account)
}
