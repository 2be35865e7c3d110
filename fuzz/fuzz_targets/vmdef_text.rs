//! The forms of machine definitions that are told apart by their lines: xl.cfg, Proxmox VE, KubeVirt, .vmx. Each
//! input gets a beginning of one of them, so that the fuzzer does not have to find it.
#![no_main]

use libfuzzer_sys::fuzz_target;

const BEGINNINGS: [&str; 6] = [
    "memory = 64\nvif = ['']\n",
    "cores: 1\nmemory: 512\n",
    "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec:\n",
    "displayName = \"a\"\nvirtualHW.version = \"8\"\n",
    "<VirtualBox version='1.19-linux'><Machine><Hardware>",
    "<Envelope><Content><Section type='VirtualHardwareSection_Type'>",
];

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let begin = BEGINNINGS[usize::from(which) % BEGINNINGS.len()];
    let text = [begin.as_bytes(), bytes].concat();
    if let Ok(definition) = hospitium_vmdef::read_text("fuzz", &text) {
        let _ = definition.lines();
    }
});
