//! Reads the part of Python's pickle format that describes tensors.
//!
//! A pickle is a program for a stack machine. This reader runs the instructions that build plain
//! values (numbers, texts, tuples, lists, dictionaries) and knows by name the handful of functions
//! with which PyTorch describes a tensor. It calls nothing: a tensor becomes a [`Node::Tensor`] with
//! the numbers of its description. Any other function or instruction is an error that names it.
//!
//! Values live in one list and refer to each other by index, so that shared and self-referring values
//! need no special care. Each instruction adds at most one value: memory is bounded by the input.
//!
//! Source: `Lib/pickletools.py` of Python 3.13 for the instructions, `torch/_utils.py` of PyTorch 2.9
//! for the functions.

use super::element::Element;

/// The index of a value.
pub(super) type Id = usize;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    /// Bytes and numbers beyond 64 bits, which no description of a tensor needs.
    Opaque,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by module and name.
    Global(String),
    Storage(Storage),
    Tensor(View),
}

/// Numbers in a file of their own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    /// The name of that file.
    pub(super) key: String,
    /// `None` when the class says only bytes.
    pub(super) element: Option<Element>,
    /// How many numbers (or bytes).
    pub(super) length: usize,
}

/// A tensor: how it lies in a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub(super) storage: Storage,
    pub(super) element: Element,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

/// All values of a pickle and which one is the result.
#[derive(Debug)]
pub(super) struct Values {
    nodes: Vec<Node>,
    root: Id,
}

impl Values {
    /// The result.
    pub(super) fn root(&self) -> &Node {
        self.get(self.root)
    }

    /// The value at an index.
    pub(super) fn get(&self, id: Id) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::None)
    }
}

/// Reads a pickle.
pub(super) fn read(bytes: &[u8]) -> Result<Values, String> {
    let mut machine = Machine {
        bytes,
        position: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    loop {
        let code = machine.byte()?;
        if code == b'.' {
            let root = machine.pop()?;
            let nodes = machine.nodes;
            return Ok(Values { nodes, root });
        }
        machine.step(code)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: Vec<(u32, Id)>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            0x80 => self.skip(1), // PROTO
            0x95 => self.skip(8), // FRAME
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),      // POP
            b'1' => self.pop_mark().map(drop), // POP_MARK
            b'2' => self.duplicate(),          // DUP
            b'}' => self.push(Node::Dict(vec![])),
            b']' => self.push(Node::List(vec![])),
            b')' => self.push(Node::Tuple(vec![])),
            b't' => self.tuple_to_mark(),
            0x85..=0x87 => self.tuple(usize::from(code - 0x84)),
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Node::Dict(pairs(&items)?))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)
            }
            b'c' => self.global_from_lines(),
            0x93 => self.global_from_stack(),
            b'R' => self.reduce(),
            b'Q' => self.persistent(),
            b'b' => self.build(),
            b'h' | b'j' | b'q' | b'r' | 0x94 => self.remember_or_recall(code),
            _ => self.literal(code),
        }
    }

    /// Instructions that push one plain value.
    fn literal(&mut self, code: u8) -> Result<(), String> {
        let node = match code {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'K' => Node::Int(i64::from(self.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
            0x8a => {
                let length = usize::from(self.byte()?);
                long(self.take(length)?)
            }
            b'G' => {
                self.skip(8)?;
                Node::Float
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text(length)?
            }
            0x8c => {
                let length = usize::from(self.byte()?);
                self.text(length)?
            }
            b'U' | b'C' => {
                let length = usize::from(self.byte()?);
                self.skip(length)?;
                Node::Opaque
            }
            b'B' | b'T' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.skip(length)?;
                Node::Opaque
            }
            _ => {
                let at = self.position - 1;
                return Err(format!(
                    "instruction 0x{code:02x} at byte {at} of its pickle, which no list of tensors needs"
                ));
            }
        };
        self.push(node)
    }

    fn remember_or_recall(&mut self, code: u8) -> Result<(), String> {
        let key = match code {
            b'h' | b'q' => u32::from(self.byte()?),
            b'j' | b'r' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        if matches!(code, b'h' | b'j') {
            let found = self.memo.binary_search_by_key(&key, |(key, _)| *key);
            let at = found.map_err(|_| {
                format!("damaged pickle: recalls value {key}, which it has not stored")
            })?;
            self.stack.push(self.memo[at].1);
            return Ok(());
        }
        let value = *self.stack.last().ok_or_else(empty)?;
        match self.memo.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => self.memo[at].1 = value,
            // Keys come in rising order in every file that Python writes: this is an append.
            Err(at) if at == self.memo.len() => self.memo.push((key, value)),
            Err(_) => return Err("damaged pickle: stores values out of order".to_owned()),
        }
        Ok(())
    }

    /// `NAME(arguments)`: what PyTorch's functions would give, without calling them.
    fn reduce(&mut self) -> Result<(), String> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let Node::Global(name) = self.node(function).clone() else {
            return Err("damaged pickle: calls something that is no function".to_owned());
        };
        let Node::Tuple(arguments) = self.node(arguments).clone() else {
            return Err(format!("damaged pickle: calls `{name}` without arguments"));
        };
        let node = match name.as_str() {
            "collections.OrderedDict" => Node::Dict(Vec::new()),
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                Node::Tensor(self.view(&arguments, None)?)
            }
            "torch._utils._rebuild_tensor_v3" => {
                let element = arguments.get(6).and_then(|&id| self.element(id));
                let element = element.ok_or("a tensor of an unknown element type")?;
                Node::Tensor(self.view(&arguments, Some(element))?)
            }
            "torch._utils._rebuild_parameter" => match arguments.first().map(|&id| self.node(id)) {
                Some(Node::Tensor(view)) => Node::Tensor(view.clone()),
                _ => return Err("damaged pickle: a parameter without tensor".to_owned()),
            },
            _ => return Err(refused(&name)),
        };
        self.push(node)
    }

    /// The description of a tensor: storage, offset, shape, stride, ….
    fn view(&self, arguments: &[Id], element: Option<Element>) -> Result<View, String> {
        let [storage, offset, shape, stride, ..] = arguments else {
            return Err("damaged pickle: a tensor with too few numbers".to_owned());
        };
        let Node::Storage(storage) = self.node(*storage) else {
            return Err("damaged pickle: a tensor without storage".to_owned());
        };
        let element = element.or(storage.element);
        Ok(View {
            element: element.ok_or("a tensor of an unknown element type")?,
            storage: storage.clone(),
            offset: self.size(*offset)?,
            shape: self.sizes(*shape)?,
            stride: self.sizes(*stride)?,
        })
    }

    /// `('storage', class, key, device, length)`: numbers in a file of their own.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let error = || "damaged pickle: a reference to no storage".to_owned();
        let Node::Tuple(items) = self.node(id) else {
            return Err(error());
        };
        let &[kind, class, key, _, length] = &items[..] else {
            return Err(error());
        };
        let (Node::Text(kind), Node::Text(key)) = (self.node(kind), self.node(key)) else {
            return Err(error());
        };
        let Node::Global(class_name) = self.node(class) else {
            return Err(error());
        };
        if kind != "storage" {
            return Err(error());
        }
        let element = self.element(class);
        if element.is_none() && class_name != "torch.storage.UntypedStorage" {
            return Err(format!(
                "tensors of the kind `{class_name}`, which is not supported"
            ));
        }
        let storage = Storage {
            key: key.clone(),
            element,
            length: self.size(length)?,
        };
        self.push(Node::Storage(storage))
    }

    fn element(&self, id: Id) -> Option<Element> {
        let Node::Global(name) = self.node(id) else {
            return None;
        };
        Element::of_torch(name.strip_prefix("torch.")?)
    }

    /// Sets an object's attributes: harmless on the dictionaries of a state dict (`_metadata`), and
    /// passed over.
    fn build(&mut self) -> Result<(), String> {
        self.pop()?;
        let target = *self.stack.last().ok_or_else(empty)?;
        match self.node(target) {
            Node::Dict(_) => Ok(()),
            _ => Err("damaged pickle: attributes of something that is no dictionary".to_owned()),
        }
    }

    fn global_from_lines(&mut self) -> Result<(), String> {
        let module = self.line()?;
        let name = self.line()?;
        self.global(&module, &name)
    }

    fn global_from_stack(&mut self) -> Result<(), String> {
        let name = self.pop()?;
        let module = self.pop()?;
        match (self.node(module).clone(), self.node(name).clone()) {
            (Node::Text(module), Node::Text(name)) => self.global(&module, &name),
            _ => Err("damaged pickle: a function without name".to_owned()),
        }
    }

    /// Only names that describe tensors get on the stack at all.
    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let full = format!("{module}.{name}");
        let known = match module {
            "collections" => name == "OrderedDict",
            "torch._utils" => name.starts_with("_rebuild_"),
            "torch" => Element::of_torch(name).is_some() || name.ends_with("Storage"),
            "torch.storage" => name == "UntypedStorage",
            _ => false,
        };
        if !known {
            return Err(refused(&full));
        }
        self.push(Node::Global(full))
    }

    fn tuple(&mut self, length: usize) -> Result<(), String> {
        let start = self.floor(length)?;
        let items = self.stack.split_off(start);
        self.push(Node::Tuple(items))
    }

    fn tuple_to_mark(&mut self) -> Result<(), String> {
        let items = self.pop_mark()?;
        self.push(Node::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let target = *self.stack.last().ok_or_else(empty)?;
        match &mut self.nodes[target] {
            Node::List(list) => list.extend(items),
            _ => return Err("damaged pickle: appends to something that is no list".to_owned()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let entries = pairs(items)?;
        let target = *self.stack.last().ok_or_else(empty)?;
        match &mut self.nodes[target] {
            Node::Dict(dict) => dict.extend(entries),
            _ => return Err("damaged pickle: sets items of no dictionary".to_owned()),
        }
        Ok(())
    }

    fn duplicate(&mut self) -> Result<(), String> {
        let top = *self.stack.last().ok_or_else(empty)?;
        self.stack.push(top);
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), String> {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    /// Where the stack is after taking `count` values, which may not reach below the last mark.
    fn floor(&self, count: usize) -> Result<usize, String> {
        let lowest = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).ok_or_else(empty)?;
        if start < lowest {
            Err(empty())
        } else {
            Ok(start)
        }
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.floor(1)?;
        self.stack.pop().ok_or_else(empty)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let start = self.marks.pop().ok_or_else(empty)?;
        Ok(self.stack.split_off(start))
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.node(id) {
            Node::Int(value) => {
                usize::try_from(*value).map_err(|_| format!("damaged pickle: a size of {value}"))
            }
            other => Err(format!("damaged pickle: a size that is {other:?}")),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        let Node::Tuple(items) = self.node(id) else {
            return Err("damaged pickle: a shape that is no tuple".to_owned());
        };
        items.iter().map(|&item| self.size(item)).collect()
    }

    fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| truncated())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.position.checked_add(length).ok_or_else(truncated)?;
        let taken = self.bytes.get(self.position..end).ok_or_else(truncated)?;
        self.position = end;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<(), String> {
        self.take(length).map(drop)
    }

    fn text(&mut self, length: usize) -> Result<Node, String> {
        let bytes = self.take(length)?;
        let text =
            std::str::from_utf8(bytes).map_err(|_| "damaged pickle: a text that is no UTF-8")?;
        Ok(Node::Text(text.to_owned()))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.position..];
        let length = rest
            .iter()
            .position(|&b| b == b'\n')
            .ok_or_else(truncated)?;
        let line = self.take(length)?;
        self.skip(1)?;
        String::from_utf8(line.to_vec())
            .map_err(|_| "damaged pickle: a name that is no UTF-8".to_owned())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    if !items.len().is_multiple_of(2) {
        return Err("damaged pickle: a key without value".to_owned());
    }
    Ok(items
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&[key, value]| (key, value))
        .collect())
}

/// An integer of any length, two's complement, little endian.
fn long(bytes: &[u8]) -> Node {
    if bytes.len() > 8 {
        return Node::Opaque;
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut whole = if negative { [0xff; 8] } else { [0; 8] };
    whole[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(whole))
}

fn refused(name: &str) -> String {
    format!(
        "holds the Python object `{name}`, which would have to be executed; expected tensors only \
         (in Python: `torch.save(model.state_dict(), path)`)"
    )
}

fn empty() -> String {
    "damaged pickle: takes a value from an empty stack".to_owned()
}

fn truncated() -> String {
    "damaged pickle: ends inside an instruction".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_values() {
        // {"a": (1, -2), "b": [True]} as protocol 2.
        let bytes =
            b"\x80\x02}(X\x01\x00\x00\x00aK\x01J\xfe\xff\xff\xff\x86X\x01\x00\x00\x00b](\x88eu.";
        let values = read(bytes).expect("a sound pickle");
        let Node::Dict(entries) = values.root() else {
            panic!("{:?}", values.root())
        };
        assert_eq!(values.get(entries[0].0), &Node::Text("a".to_owned()));
        let Node::Tuple(items) = values.get(entries[0].1) else {
            panic!("no tuple")
        };
        assert_eq!(values.get(items[1]), &Node::Int(-2));
        let Node::List(items) = values.get(entries[1].1) else {
            panic!("no list")
        };
        assert_eq!(values.get(items[0]), &Node::Bool(true));
    }

    #[test]
    fn names_what_it_will_not_execute() {
        // The textbook attack: os.system("echo").
        let error = read(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.").expect_err("refused");
        assert!(error.contains("`os.system`"), "{error}");
        let error = read(b"\x80\x02c__builtin__\neval\n.").expect_err("refused");
        assert!(error.contains("`__builtin__.eval`"), "{error}");
    }

    #[test]
    fn damaged_programs_are_errors() {
        for bytes in [
            &b""[..],
            b"\x80",
            b"u.",
            b"R.",
            b".",
            b"q\x00.",
            b"h\x07.",
            b"(0.",
            b"X\xff\xff\xff\xffa.",
            b"cos",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        let error = read(b"\x80\x02i.").expect_err("INST is refused");
        assert!(error.contains("0x69"), "{error}");
    }
}
