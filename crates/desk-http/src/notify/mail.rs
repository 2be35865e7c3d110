//! Mails: short, without anything of a case but its id, where it stands, and who acts next.

use std::time::Duration;

use hospitium_desk::Address;
use hospitium_desk::store::Notice;
use hospitium_model::printable;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Tls as Wrapped;
use lettre::{Message, SmtpTransport, Transport as _};

use super::Told;
use super::config::{Mail, Tls};

/// How long a mail server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mailbox of an address that was checked: nothing in it can start a header.
fn mailbox(address: &Address) -> Result<Mailbox, String> {
    address.as_str().parse().map_err(|_| format!("{address} cannot stand in a mail"))
}

/// The mail that tells of something.
pub fn message(mail: &Mail, to: &Address, notice: &Notice) -> Result<Message, String> {
    let told: Told = serde_json::from_str(&notice.body).map_err(|error| error.to_string())?;
    let Told { event, at, case, by, state, next, url } = told;
    let short: String = case.chars().take(10).collect();
    let words = printable(&event.replace('-', " "), 60);
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let url = url.map(|url| format!("\n{url}\n")).unwrap_or_default();
    let body = format!(
        "Case {case}\n\n{words}{by}, {at}\nIt stands: {state}. Next to act: {next}.\n{url}\n\
         Cases are confidential; what was said stands on the case's page only.\n"
    );
    Message::builder()
        .from(mailbox(&mail.from)?)
        .to(mailbox(to)?)
        .subject(printable(&format!("[{short}] {words}; next: {next}"), 150))
        .message_id(Some(format!("<{}@{}>", notice.id, domain(&mail.from))))
        .header(ContentType::TEXT_PLAIN)
        .body(body)
        .map_err(|error| error.to_string())
}

fn domain(address: &Address) -> &str {
    address.as_str().rsplit('@').next().unwrap_or_default()
}

/// Sends a mail.
pub fn send(mail: &Mail, to: &Address, notice: &Notice) -> Result<(), String> {
    let failed =
        |why: String| format!("{}: {}", printable(&mail.server, 100), printable(&why, 200));
    let message = message(mail, to, notice).map_err(&failed)?;
    let builder = match mail.tls {
        Tls::Tls => {
            SmtpTransport::relay(&mail.server).map_err(|error| failed(error.to_string()))?
        }
        Tls::Starttls => SmtpTransport::starttls_relay(&mail.server)
            .map_err(|error| failed(error.to_string()))?,
        Tls::None => SmtpTransport::builder_dangerous(&mail.server).tls(Wrapped::None),
    };
    let builder = match mail.port {
        Some(port) => builder.port(port),
        None => builder,
    };
    let builder = match (&mail.user, &mail.password) {
        (Some(user), Some(password)) => {
            builder.credentials(Credentials::new(user.clone(), password.clone()))
        }
        _ => builder,
    };
    let transport = builder.timeout(Some(PATIENCE)).build();
    transport.send(&message).map(drop).map_err(|error| failed(error.to_string()))
}
