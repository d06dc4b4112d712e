// Whether a machine runs the livepatches that it should, by what its TPM signs: a log is replayed against a quote.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

// A register's bytes, of a SHA-256 bank: 32.
using PcrValue = std::string;

// SHA-256 of the value and the digest (32 bytes each): what TPM2_PCR_Extend makes of them.
PcrValue extended(const PcrValue& value, std::string_view digest);

// What was measured: a digest of a file, and what the register was extended by for it.
struct Measured {
  std::string sha256;   // of the file, 64 hex digits; empty: of no file, or by another digest
  std::string name;     // its path, or the livepatch
  std::string extends;  // 32 bytes
};

// The lines of kpatch-agent's events.jsonl; of the boot, or where that is empty of the last one in it. Throws Error when a line is
// no event.
std::vector<Measured> read_events(std::string_view text, std::string boot);
// The kernel's binary_runtime_measurements, of its sha1 or sha256 list, as far as they are about this register. Throws Error
// when it is damaged, or has a template whose digest isn't the one of its fields.
std::vector<Measured> read_ima_log(std::string_view bytes, unsigned pcr);
// The digest of an entry of the template ima-sig, in the SHA-256 bank: what the register is extended by for a file without a
// signature of its own in an attribute.
std::string ima_template_digest(std::string_view sha256, std::string_view path);

// What a register holds after these, from zero.
PcrValue replayed(const std::vector<Measured>& measured);

struct Quote {
  std::string nonce;
  uint64_t clock = 0;  // milliseconds
  uint32_t resets = 0, restarts = 0;
  unsigned pcr = 0;
  std::string digest;  // of its value
};

// What tpm2_quote writes: the message, and its signature in the TPM's form. key: PEM of the attestation key. Throws Error, with
// the reason, when the signature isn't of the key, or it is no quote of one SHA-256 register.
Quote read_quote(std::string_view message, std::string_view signature, std::string_view key_pem);

// As sha256sum prints it: digests, 64 hex digits each, the first word of a line; # begins a comment. Throws Error for others.
std::set<std::string> read_allow_list(std::string_view text);

// Why it isn't as it should be, a sentence each; empty when it is. all: nothing may be measured that isn't allowed; otherwise
// only what is a kernel module by its name is looked at.
std::vector<std::string> against(const Quote& quote, std::string_view nonce, const std::vector<Measured>& measured,
                                 const std::set<std::string>& allowed, bool all);

}  // namespace kpatch
