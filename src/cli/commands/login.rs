//! `login` and `logout`: who we are to a registry, kept where Docker keeps it.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::sync::Arc;

use runtime::registry::credentials::{self, Credential};
use runtime::registry::login::{self, Kept, LoginError};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::app::App;
use crate::app::given::registries;
use crate::error::{CommandError, Kind};

/// Log in to a registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The account
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,

    /// The password or access token; others on this machine can see it
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,

    /// Read the password from the standard input
    #[arg(long)]
    password_stdin: bool,

    /// Host and port; else Docker Hub
    #[arg(value_name = "REGISTRY", default_value = "", hide_default_value = true)]
    registry: String,
}

/// Forget the login of a registry
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// Host and port; else Docker Hub
    #[arg(value_name = "REGISTRY", default_value = "", hide_default_value = true)]
    registry: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let registry = login::registry(&args.registry);
    let settings = Arc::new(registries(&app.environment));
    if args.username.is_none() && args.password.is_none() && !args.password_stdin {
        // What is kept may still do.
        if credentials::find(&settings, &registry).is_some() {
            app.printer.note("Authenticating with existing credentials...");
            if check(&settings, &registry, None).await.is_ok() {
                app.printer.data("Login Succeeded");
                return Ok(());
            }
            app.printer.note("Login did not succeed");
        }
    }
    let (username, password) = ask(&args, app)?;
    let credential = Credential::Login { username: username.clone(), password: password.clone() };
    check(&settings, &registry, Some(credential)).await.map_err(failed)?;
    match login::keep(&settings, &registry, &username, &password).map_err(failed)? {
        Kept::File(path) => {
            app.printer.warn(&format!("your password is kept unencrypted in `{}`", path.display()));
        }
        Kept::Helper(_) => {}
    }
    app.printer.data("Login Succeeded");
    Ok(())
}

#[expect(clippy::unused_async, reason = "every command has this shape")]
pub(crate) async fn logout(args: LogoutArgs, app: &App) -> Result<(), CommandError> {
    let registry = login::registry(&args.registry);
    let found = login::forget(&registries(&app.environment), &registry).map_err(failed)?;
    let said = if found { "Removing login credentials for" } else { "Not logged in to" };
    app.printer.data(&format!("{said} {registry}"));
    Ok(())
}

async fn check(
    settings: &Arc<runtime::registry::settings::Settings>,
    registry: &str,
    credential: Option<Credential>,
) -> Result<(), LoginError> {
    let (settings, registry) = (Arc::clone(settings), registry.to_owned());
    let checked = tokio::task::spawn_blocking(move || login::check(&settings, &registry, credential));
    checked.await.expect("trying a login does not panic")
}

fn failed(error: LoginError) -> CommandError {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    let told = CommandError::new(Kind::Failed, texts.join(": "));
    match &error {
        LoginError::Try(source) => source.hint().into_iter().fold(told, CommandError::hint),
        LoginError::Refused { .. } => {
            told.hint("check the name and the password; some registries want an access token")
        }
        LoginError::Helper(_) | LoginError::NoFolder | LoginError::Io { .. } | LoginError::Damaged { .. } => told,
    }
}

fn ask(args: &Args, app: &App) -> Result<(String, String), CommandError> {
    let usage = |message: &str, hint: &str| CommandError::new(Kind::Usage, message).hint(hint);
    let unread = |error: std::io::Error| CommandError::new(Kind::Failed, format!("cannot read the password: {error}"));
    if args.password_stdin {
        let Some(username) = &args.username else {
            return Err(usage("a password from the standard input needs the account's name", "add `--username NAME`"));
        };
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unread)?;
        return Ok((username.clone(), text.trim_end_matches(['\n', '\r']).to_owned()));
    }
    let terminal = std::io::stdin().is_terminal();
    let nobody =
        || usage("nobody can be asked for the login here", "`--username NAME --password-stdin` reads the password");
    let username = match &args.username {
        Some(name) => name.clone(),
        None if !terminal => return Err(nobody()),
        None => {
            app.printer.note("Username: ");
            let mut name = String::new();
            std::io::stdin().lock().read_line(&mut name).map_err(unread)?;
            name.trim().to_owned()
        }
    };
    let password = match &args.password {
        Some(password) => {
            app.printer.warn("a password on the command line can be seen by others: use --password-stdin");
            password.clone()
        }
        None if !terminal => return Err(nobody()),
        None => {
            app.printer.note("Password: ");
            unseen().map_err(unread)?
        }
    };
    if username.is_empty() || password.is_empty() {
        return Err(usage("a login is a name and a password", "give both"));
    }
    Ok((username, password))
}

/// Reads a line without showing it.
fn unseen() -> std::io::Result<String> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut quiet = before.clone();
    quiet.local_modes -= LocalModes::ECHO;
    tcsetattr(&stdin, OptionalActions::Flush, &quiet)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    read.map(|_| line.trim_end_matches(['\n', '\r']).to_owned())
}
