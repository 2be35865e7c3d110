//! endoflife.date's products from where a person says: a folder, a file, or an address.

use std::path::Path;

use crate::ProductsError;
use crate::endoflife::{self, EndoflifeProduct, LARGEST};
use crate::error::printable;

/// Reads the products at a place: a folder; a file; `file://`; or an address. An address that ends
/// in `.json` or `.yaml` is one product. Any other is the root of an API: its `all.json` names the
/// products, and each is at `NAME.json`.
pub fn endoflife(place: &str) -> Result<Vec<EndoflifeProduct>, ProductsError> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return address::fetch(place);
    }
    let path = match place.strip_prefix("file://") {
        Some(path) => Path::new(path),
        None if place.contains("://") => {
            return Err(ProductsError::Address { text: printable(place, 200) });
        }
        None => Path::new(place),
    };
    if path.is_file() {
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        let text = crate::file::text(path, LARGEST)?;
        return Ok(vec![endoflife::read(&name, &text)?]);
    }
    endoflife::read_folder(path)
}

#[cfg(not(feature = "fetch"))]
mod address {
    use super::*;

    pub fn fetch(address: &str) -> Result<Vec<EndoflifeProduct>, ProductsError> {
        let why = "this program was built to read folders and files only".to_owned();
        Err(ProductsError::Fetch { url: printable(address, 200), why })
    }
}

#[cfg(feature = "fetch")]
mod address {
    use std::io::Read as _;
    use std::time::Duration;

    use super::*;

    /// The longest that one answer may take.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// Most products that a list may name; the site has about 450.
    const MOST_PRODUCTS: usize = 2_000;

    pub fn fetch(address: &str) -> Result<Vec<EndoflifeProduct>, ProductsError> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .user_agent("hospitium")
            .build()
            .into();
        let path = address.split(['?', '#']).next().unwrap_or(address);
        if [".json", ".yaml", ".yml"].iter().any(|ending| path.ends_with(ending)) {
            return Ok(vec![endoflife::read(path, &get(&agent, address)?)?]);
        }
        let root = address.trim_end_matches('/');
        let list = format!("{root}/all.json");
        let names: Vec<String> =
            serde_json::from_str(&get(&agent, &list)?).map_err(|error| ProductsError::Fetch {
                url: printable(&list, 200),
                why: format!("no list of names: {error}"),
            })?;
        names
            .iter()
            .take(MOST_PRODUCTS)
            // A name that could lead elsewhere is no product's.
            .filter(|name| {
                !name.is_empty()
                    && name.bytes().all(|b| {
                        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+')
                    })
                    && !name.starts_with('.')
            })
            .map(|name| {
                let url = format!("{root}/{name}.json");
                Ok(endoflife::read(&url, &get(&agent, &url)?)?)
            })
            .collect()
    }

    fn get(agent: &ureq::Agent, url: &str) -> Result<String, ProductsError> {
        let wrong = |why: String| ProductsError::Fetch {
            url: printable(url, 200),
            why: printable(&why, 200),
        };
        let mut answer = agent.get(url).call().map_err(|error| wrong(error.to_string()))?;
        let mut bytes = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(error.to_string()))?;
        if bytes.len() as u64 > LARGEST {
            return Err(wrong(format!("the answer is larger than {LARGEST} bytes")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
