//! The API's description for people: one page without scripts, made from the OpenAPI document.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;

use super::document;
use crate::links::{Links, encoded};
use crate::model::Frame;
use crate::{Refused, SiteError};

#[derive(Debug, Template)]
#[template(path = "api.html")]
struct Page {
    frame: Frame,
    about: String,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    name: String,
    about: String,
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    method: String,
    path: String,
    summary: String,
    about: String,
    parameters: Vec<Parameter>,
    answers: Vec<(String, String)>,
    example: String,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    required: bool,
    about: String,
}

/// `GET /api/v1`.
pub async fn page() -> Response {
    match make().map_err(SiteError::from).and_then(|page| Ok(page.render()?)) {
        Ok(html) => Html(html).into_response(),
        Err(error) => Refused::from(error).into_response(),
    }
}

fn make() -> Result<Page, askama::Error> {
    let document =
        serde_json::to_value(document()).map_err(|error| askama::Error::Custom(error.into()))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut groups: Vec<Group> = each(&document["tags"])
        .map(|tag| Group {
            name: text(&tag["name"]),
            about: text(&tag["description"]),
            calls: Vec::new(),
        })
        .collect();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, about) in methods.as_object().into_iter().flatten() {
            let call = call(path, method, about);
            let group = groups.iter_mut().find(|group| about["tags"][0] == group.name.as_str());
            if let Some(group) = group {
                group.calls.push(call);
            }
        }
    }
    let info = &document["info"];
    let links = Links { root: "/".to_owned(), ..Links::new(true, 0) };
    let frame = Frame { links, here: "api", as_of: String::new() };
    Ok(Page { frame, about: text(&info["description"]), groups })
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn call(path: &str, method: &str, about: &Value) -> Call {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut example = path.to_owned();
    let mut query = Vec::new();
    let mut parameters = Vec::new();
    for parameter in each(&about["parameters"]) {
        let name = text(&parameter["name"]);
        if let Some(value) = parameter["example"].as_str() {
            let value = encoded(value);
            match parameter["in"] == "path" {
                true => example = example.replace(&format!("{{{name}}}"), &value),
                false => query.push(format!("{name}={value}")),
            }
        }
        parameters.push(Parameter {
            name,
            required: parameter["required"] == true,
            about: text(&parameter["description"]),
        });
    }
    if !query.is_empty() {
        example = format!("{example}?{}", query.join("&"));
    }
    // Only what can be followed as a link is one.
    if example.contains('{') || method != "get" {
        example.clear();
    }
    let answers = about["responses"].as_object().into_iter().flatten();
    Call {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&about["summary"]),
        about: text(&about["description"]),
        parameters,
        answers: answers.map(|(status, a)| (status.clone(), text(&a["description"]))).collect(),
        example,
    }
}
