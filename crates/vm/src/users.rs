// SPDX-License-Identifier: Apache-2.0
//! Names of users, from the file of passwd(5). A user that another source knows is shown by number:
//! a static program cannot load the libraries that ask such sources.

use std::fs;

/// The name of user `uid`, or its number.
pub(crate) fn name(uid: u32) -> String {
    fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|text| find(&text, uid))
        .map(|name| host::printable(&name).into_owned())
        .unwrap_or_else(|| uid.to_string())
}

/// The name is in the first and the number in the third field.
fn find(text: &str, id: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == id && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# odd\nkvm:x:108:a,b\n";
        assert_eq!(find(text, 0).as_deref(), Some("root"));
        assert_eq!(find(text, 108).as_deref(), Some("kvm"));
        assert_eq!(find(text, 1), None);
        assert_eq!(name(u32::MAX - 7), (u32::MAX - 7).to_string());
    }
}
