//! What is promised of sign-in by OpenID Connect, against a provider of this process that does what a test wants: also
//! what no honest one does.

mod fake;
mod hostile;
mod pages;
mod real;
