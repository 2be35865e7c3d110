//! Questions: in words, and by the definition of a machine.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::http::{StatusCode, header};
use axum_extra::extract::WithRejection;
use hospitium_catalog::{Missing, Reply, question_of};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Problem;
use crate::day::Day;
use crate::site::Site;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// GUEST on HOST, and what is asked of the machine.
    #[param(example = "debian 12 on qemu 7.2, 4 vcpu, 8 GiB")]
    q: String,
    /// As of this day, `YYYY-MM-DD`: nothing that was said later is taken in. Without it, as of the day
    /// that the site shows.
    #[param(value_type = Option<Date>)]
    as_of: Option<Day>,
}

/// Is this guest validated on this host?
///
/// The answer is the one of `hospitium ask --json`: a word, the rule that decided, the certificate,
/// limits, reasons, the nearest validated configurations, and who supports it. If several products
/// may be meant, the reply is `unclear` and lists them.
#[utoipa::path(get, path = "/ask", tag = "Questions", params(Asked), responses(
    (status = 200, description = "The answer, or what may be meant", body = Reply),
    (status = 400, description = "No question, or no day", body = Problem, content_type = "application/problem+json"),
))]
pub async fn ask(
    State(site): State<Arc<Site>>,
    WithRejection(Query(Asked { q, as_of }), _): WithRejection<Query<Asked>, Problem>,
) -> Result<Json<Reply>, Problem> {
    let view = site.view_on(as_of.map(|Day(day)| day)).await?;
    Ok(Json(site.desk(&view).ask(&q).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Sides {
    /// The guest, where the definition does not tell or tells too little.
    guest: Option<String>,
    /// The host that runs it, where the definition does not tell.
    #[param(example = "qemu 7.2")]
    host: Option<String>,
    /// As of this day, `YYYY-MM-DD`: nothing that was said later is taken in. Without it, as of the day
    /// that the site shows.
    #[param(value_type = Option<Date>)]
    as_of: Option<Day>,
}

/// Is this machine's guest validated on its host?
///
/// The body is the definition of a virtual machine, as a file of its own: libvirt XML, `.vmx`, `.ovf`,
/// the XML of a Hyper-V export, or the JSON of Get-VM; at most 4 MiB. The answer is the one of
/// `hospitium ask FILE --json`.
#[utoipa::path(post, path = "/check-vm", tag = "Questions", params(Sides),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The definition"),
    responses(
    (status = 200, description = "The answer, or what may be meant", body = Reply),
    (status = 400, description = "No day", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "No definition, or it does not tell a side", body = Problem,
        content_type = "application/problem+json"),
))]
pub async fn check_vm(
    State(site): State<Arc<Site>>,
    WithRejection(Query(Sides { guest, host, as_of }), _): WithRejection<Query<Sides>, Problem>,
    request: Request,
) -> Result<Json<Reply>, Problem> {
    let bytes = definition(request).await?;
    let read =
        tokio::task::spawn_blocking(move || hospitium_vmdef::read_text("the definition", &bytes));
    let unfit = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let vm = read.await.map_err(|_| unfit("The definition could not be read.".into()))?;
    let vm = vm.map_err(|error| unfit(error.to_string()))?;
    let question = question_of(&vm, guest, host, site.products()).map_err(|untold| {
        let name = |missing: &Missing| format!("{}={}", missing.option(), missing.example());
        let names: Vec<String> = untold.0.iter().map(name).collect();
        unfit(format!("{untold}. Name it: ?{}", names.join("&")))
    })?;
    let view = site.view_on(as_of.map(|Day(day)| day)).await?;
    Ok(Json(site.desk(&view).ask(&question).await?))
}

/// The body, if it is not too large. What says at once that it is, is not read at all.
async fn definition(request: Request) -> Result<Bytes, Problem> {
    let most = hospitium_vmdef::LARGEST;
    let too_large = || {
        let detail = format!("A definition has at most {most} bytes. Send it without its disks.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if told.and_then(|told| told.parse::<u64>().ok()).is_some_and(|told| told > most) {
        return Err(too_large());
    }
    Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => rejection.into(),
    })
}
