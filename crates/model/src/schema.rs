//! OpenAPI schemas of types whose JSON form is a string and whose fields are their own business.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{Formula, Term};

fn text(description: &str) -> RefOr<Schema> {
    RefOr::T(ObjectBuilder::new().schema_type(Type::String).description(Some(description)).into())
}

impl PartialSchema for Term {
    fn schema() -> RefOr<Schema> {
        text("A span of the calendar: `12 months`.")
    }
}

impl ToSchema for Term {}

impl PartialSchema for Formula {
    fn schema() -> RefOr<Schema> {
        text("Until when a validation holds, as the agreement has it.")
    }
}

impl ToSchema for Formula {}
