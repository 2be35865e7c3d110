//! The address in an ACPI generation-id device, from the bytes of the table that defines it.
//!
//! The device (Microsoft, "Virtual Machine Generation ID", 2012) has a `_CID` of `VM_Gen_Counter` and an object
//! `ADDR`: a package of the low and the high half of the address, or a method that returns one. A method is
//! evaluated as far as hypervisors go: constants, names of constants in the same table, locals, arithmetic. AML is
//! read as chapter 20.2 of the ACPI specification 6.5 writes it.

/// What a table says of a generation-id device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The table defines none.
    None,
    /// The id is at this physical address.
    At(u64),
    /// There is one, and its address takes more than is evaluated here.
    Unknown,
}

/// The longest chain of expressions within each other.
const DEEPEST: u8 = 16;
/// The most elements of a package that are kept.
const MOST_ELEMENTS: u8 = 8;

/// Looks for the device in a definition block (DSDT or SSDT), its header included.
pub fn generation(table: &[u8]) -> Generation {
    let named = |window: &[u8]| window.eq_ignore_ascii_case(b"VM_Gen_Counter\0");
    let Some(id) = table.windows(15).position(named) else {
        return Generation::None;
    };
    let Some(device) = device_around(table, id) else {
        return Generation::Unknown;
    };
    match address(table, device) {
        // The firmware has not filled it in; the device's _STA says that it is not there.
        Some(address) if address < 4096 => Generation::None,
        Some(address) => Generation::At(address),
        None => Generation::Unknown,
    }
}

/// The contents of the innermost device (DeviceOp, 0x5B 0x82) that holds this byte.
fn device_around(table: &[u8], byte: usize) -> Option<&[u8]> {
    (0..byte).rev().find_map(|at| {
        let body = table[at..].strip_prefix(&[0x5B, 0x82])?;
        let (contents, _) = Reader { rest: body, table }.package()?;
        (contents.len() + 2 > byte - at).then_some(contents)
    })
}

/// What the device's `ADDR` gives.
fn address(table: &[u8], device: &[u8]) -> Option<u64> {
    let at = device.windows(4).position(|name| name == b"ADDR")?;
    let behind = Reader { rest: &device[at + 4..], table };
    // NameOp stands right before the name; MethodOp before the length before the name.
    let value = if at.checked_sub(1).is_some_and(|before| device[before] == 0x08) {
        let mut reader = behind;
        reader.expression(&mut Frame::default(), 0)?
    } else {
        let (method, _) = (1..=5).find_map(|length| {
            let start = at.checked_sub(length)?;
            let body = device[start..].strip_prefix(&[0x14])?;
            let (contents, _) = Reader { rest: body, table }.package()?;
            contents.starts_with(b"ADDR").then_some((contents, start))
        })?;
        // The byte behind the name has the number of arguments, which must be none.
        let mut reader = Reader { rest: method.get(5..)?, table };
        if method[4] & 7 != 0 {
            return None;
        }
        reader.method()?
    };
    match value {
        Value::Package(halves) => match halves[..] {
            [low, high] => Some((high << 32) | (low & 0xFFFF_FFFF)),
            _ => None,
        },
        Value::Integer(_) => None,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Integer(u64),
    Package(Vec<u64>),
}

/// What a method's statements have stored so far.
#[derive(Default)]
struct Frame {
    locals: [Option<Value>; 8],
    names: Vec<([u8; 4], Value)>,
}

/// Where a value goes.
enum Target {
    Nowhere,
    Local(usize),
    Name([u8; 4]),
    /// An element of a package in one of the two others.
    Element(Box<Target>, usize),
}

impl Frame {
    fn store(&mut self, target: &Target, value: Value) -> Option<()> {
        match target {
            Target::Nowhere => {}
            Target::Local(n) => *self.locals.get_mut(*n)? = Some(value),
            Target::Name(name) => *self.named(*name)? = value,
            Target::Element(package, n) => {
                let Value::Integer(number) = value else { return None };
                let package = match &**package {
                    Target::Local(local) => self.locals.get_mut(*local)?.as_mut()?,
                    Target::Name(name) => self.named(*name)?,
                    _ => return None,
                };
                let Value::Package(elements) = package else { return None };
                *elements.get_mut(*n)? = number;
            }
        }
        Some(())
    }

    fn named(&mut self, name: [u8; 4]) -> Option<&mut Value> {
        self.names.iter_mut().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// AML that is still to be read, and the table that its names are looked up in.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a [u8],
    table: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        Some(taken.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// What a PkgLength (20.2.4) bounds, and what follows.
    fn package(mut self) -> Option<(&'a [u8], &'a [u8])> {
        let whole = self.rest;
        let lead = self.byte()?;
        let more = usize::from(lead >> 6);
        let length = if more == 0 {
            usize::from(lead & 0x3F)
        } else {
            let high = self.number(more)?;
            usize::from(lead & 0x0F) | usize::try_from(high << 4).ok()?
        };
        Some((whole.get(1 + more..length)?, whole.get(length..)?))
    }

    /// The last part of a name (20.2.2).
    fn name(&mut self) -> Option<[u8; 4]> {
        while matches!(self.peek()?, b'\\' | b'^') {
            self.byte()?;
        }
        let parts = match self.peek()? {
            0x2E => self.byte().map(|_| 2)?,
            0x2F => self.take(2).map(|two| usize::from(two[1]))?,
            _ => 1,
        };
        let all = self.take(parts.checked_mul(4)?)?;
        let last: [u8; 4] = *all.last_chunk()?;
        let good = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
        last.iter().all(good).then_some(last)
    }

    /// A method's statements up to its return.
    fn method(&mut self) -> Option<Value> {
        let mut frame = Frame::default();
        loop {
            match self.peek()? {
                0xA4 => {
                    self.byte()?;
                    return self.expression(&mut frame, 0);
                }
                0x08 => {
                    self.byte()?;
                    let name = self.name()?;
                    let value = self.expression(&mut frame, 0)?;
                    frame.names.push((name, value));
                }
                _ => drop(self.expression(&mut frame, 0)?),
            }
        }
    }

    /// A TermArg (20.2.5).
    fn expression(&mut self, frame: &mut Frame, depth: u8) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        if is_name(self.peek()?) {
            let name = self.name()?;
            let stored = frame.named(name).cloned();
            return stored.or_else(|| self.constant(name).map(Value::Integer));
        }
        let value = match self.byte()? {
            0x00 => Value::Integer(0),
            0x01 => Value::Integer(1),
            0xFF => Value::Integer(u64::MAX),
            0x0A => Value::Integer(self.number(1)?),
            0x0B => Value::Integer(self.number(2)?),
            0x0C => Value::Integer(self.number(4)?),
            0x0E => Value::Integer(self.number(8)?),
            local @ 0x60..=0x67 => frame.locals[usize::from(local - 0x60)].clone()?,
            0x12 => self.elements(frame, depth)?,
            0x70 => {
                let value = self.expression(frame, depth + 1)?;
                let target = self.target(frame, depth + 1)?;
                frame.store(&target, value.clone())?;
                value
            }
            code @ (0x72 | 0x74 | 0x79 | 0x7A | 0x7B | 0x7D) => {
                let one = self.integer(frame, depth + 1)?;
                let other = self.integer(frame, depth + 1)?;
                let target = self.target(frame, depth + 1)?;
                let shift = u32::try_from(other).unwrap_or(u32::MAX);
                let value = Value::Integer(match code {
                    0x72 => one.wrapping_add(other),
                    0x74 => one.wrapping_sub(other),
                    0x79 => one.checked_shl(shift).unwrap_or(0),
                    0x7A => one.checked_shr(shift).unwrap_or(0),
                    0x7B => one & other,
                    _ => one | other,
                });
                frame.store(&target, value.clone())?;
                value
            }
            _ => return None,
        };
        Some(value)
    }

    fn integer(&mut self, frame: &mut Frame, depth: u8) -> Option<u64> {
        match self.expression(frame, depth)? {
            Value::Integer(number) => Some(number),
            Value::Package(_) => None,
        }
    }

    /// The elements of a DefPackage; those that are not given are 0.
    fn elements(&mut self, frame: &mut Frame, depth: u8) -> Option<Value> {
        let (contents, behind) = self.package()?;
        self.rest = behind;
        let mut reader = Reader { rest: contents, table: self.table };
        let count = reader.byte().filter(|count| *count <= MOST_ELEMENTS)?;
        let mut all = vec![0; usize::from(count)];
        for element in &mut all {
            if reader.rest.is_empty() {
                break;
            }
            *element = reader.integer(frame, depth + 1)?;
        }
        Some(Value::Package(all))
    }

    fn target(&mut self, frame: &mut Frame, depth: u8) -> Option<Target> {
        if depth > DEEPEST {
            return None;
        }
        if is_name(self.peek()?) {
            return self.name().map(Target::Name);
        }
        Some(match self.byte()? {
            0x00 => Target::Nowhere,
            local @ 0x60..=0x67 => Target::Local(usize::from(local - 0x60)),
            // Index: a package, a number, and a place for the reference, which nobody uses.
            0x88 => {
                let package = self.target(frame, depth + 1)?;
                let number = self.integer(frame, depth + 1)?;
                let Target::Nowhere = self.target(frame, depth + 1)? else { return None };
                Target::Element(Box::new(package), usize::try_from(number).ok()?)
            }
            _ => return None,
        })
    }

    /// The constant that the table gives this name.
    fn constant(&self, name: [u8; 4]) -> Option<u64> {
        let mut define = [0x08, 0, 0, 0, 0];
        define[1..].copy_from_slice(&name);
        let at = self.table.windows(5).position(|bytes| bytes == define)?;
        let mut reader = Reader { rest: &self.table[at + 5..], table: self.table };
        let bytes = match reader.byte()? {
            0x00 => return Some(0),
            0x01 => return Some(1),
            0x0A => 1,
            0x0B => 2,
            0x0C => 4,
            0x0E => 8,
            _ => return None,
        };
        reader.number(bytes)
    }
}

/// A byte that begins a name.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'\\' | b'^' | 0x2E | 0x2F)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length of one byte, and what it bounds.
    fn bounded(contents: &[u8]) -> Vec<u8> {
        assert!(contents.len() < 63);
        [&[contents.len() as u8 + 1], contents].concat()
    }

    /// The same with a length of two bytes.
    fn long(contents: &[u8]) -> Vec<u8> {
        let length = contents.len() + 2;
        [&[0x40 | (length & 0x0F) as u8, (length >> 4) as u8], contents].concat()
    }

    fn method(name: &[u8], body: &[u8]) -> Vec<u8> {
        [&[0x14], &bounded(&[name, &[0], body].concat())[..]].concat()
    }

    fn device(contents: &[u8]) -> Vec<u8> {
        let ids = b"VGEN\x08_HID\x0DQEMUVGID\0\x08_CID\x0DVM_Gen_Counter\0";
        [&[0x5B, 0x82], &long(&[ids, contents].concat())[..]].concat()
    }

    /// The table that QEMU makes (hw/acpi/vmgenid.c, vmgenid_build_acpi).
    fn of_qemu(address: u32) -> Vec<u8> {
        let status = b"\x70\x0A\x0F\x60\xA0\x0B\x93VGIA\x00\x70\x00\x60\xA4\x60";
        let mut body = vec![0x70, 0x12, 0x02, 0x02, 0x60];
        body.extend(b"\x70\x72VGIA\x0A\x28\x00\x88\x60\x00\x00");
        body.extend(b"\x70\x00\x88\x60\x01\x00\xA4\x60");
        let device = device(&[method(b"_STA", status), method(b"ADDR", &body)].concat());
        let scope = [&[0x10], &long(&[b"\\_SB_", &device[..]].concat())[..]].concat();
        let mut table = b"SSDT".to_vec();
        table.resize(36, 0);
        table.extend(b"\x08VGIA\x0C");
        table.extend(address.to_le_bytes());
        table.extend(scope);
        table
    }

    #[test]
    fn the_method_of_qemu_gives_the_address_behind_the_header() {
        assert_eq!(generation(&of_qemu(0x1FFF_E000)), Generation::At(0x1FFF_E028));
        assert_eq!(generation(&of_qemu(0)), Generation::None, "the firmware did not fill it in");
    }

    #[test]
    fn a_package_of_two_halves_is_taken_as_it_is() {
        let package = b"\x08ADDR\x12\x0C\x02\x0C\x00\x10\x00\xE0\x0C\x02\x00\x00\x00";
        assert_eq!(generation(&device(package)), Generation::At(0x2_E000_1000));
    }

    #[test]
    fn a_package_that_a_method_names_and_fills_is_evaluated() {
        let body = b"\x08LPKG\x12\x04\x02\x00\x00\x70\x0C\x00\x00\x00\xC0\x88LPKG\x00\x00\x70\x01\x88LPKG\x01\x00\xA4LPKG";
        let table = device(&method(b"ADDR", body));
        assert_eq!(generation(&table), Generation::At(0x1_C000_0000));
    }

    #[test]
    fn a_table_without_the_device_has_none_and_one_that_reads_a_field_is_not_guessed_at() {
        assert_eq!(generation(b"SSDT and nothing in it"), Generation::None);
        let of_field = device(&method(b"ADDR", b"\x70GCAL\x60\xA4\x60"));
        assert_eq!(generation(&of_field), Generation::Unknown);
        assert_eq!(generation(b"VM_Gen_Counter\0"), Generation::Unknown);
    }

    #[test]
    fn damaged_and_hostile_tables_are_survived() {
        let whole = of_qemu(0x1FFF_E000);
        for end in 0..whole.len() {
            let _ = generation(&whole[..end]);
        }
        for at in 36..whole.len() {
            for value in [0, 1, 0x12, 0x2F, 0x70, 0x88, 0xFF] {
                let mut bad = whole.clone();
                bad[at] = value;
                let _ = generation(&bad);
            }
        }
        // Expressions within each other without end.
        let nested = device(&method(b"ADDR", &[0x72; 50]));
        assert_eq!(generation(&nested), Generation::Unknown);
    }
}
