// A register can't be set, only extended:
//
//     PCR ← SHA-256(PCR ‖ digest)
//
// so that a log which leads to the value that the TPM signs is the true one: nothing was left out, added or changed. That
// what it names is good is another question, which a list answers.
#include "attest/attest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::json;
using std::string_view;

constexpr size_t digest_size = 32;

std::string digest_bytes(string_view bytes) { return bytes_of_hex(sha256_of(bytes)); }

bool is_digest(string_view text) { return text.size() == 2 * digest_size && !bytes_of_hex(text).empty(); }

bool is_module(string_view name) {
  return std::ranges::any_of(std::initializer_list<string_view>{".ko", ".ko.xz", ".ko.zst", ".ko.gz"},
                             [&](string_view end) { return name.ends_with(end); });
}

std::string text_field(const json& event, const char* name) {
  const auto found = event.find(name);
  return found != event.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Fields of a binary log: little endian, as on all machines that have a TPM and livepatches but one.
class Reader {
 public:
  explicit Reader(string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  string_view take(size_t size) {
    if (size > rest_.size()) throw Error("the log is cut off");
    const string_view part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }
  uint32_t number() {
    uint32_t value = 0;
    const string_view bytes = take(4);
    for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }
  string_view sized() { return take(number()); }

 private:
  string_view rest_;
};

void append_sized(std::string& to, string_view bytes) {
  for (unsigned shift = 0; shift < 32; shift += 8) to.push_back(static_cast<char>(bytes.size() >> shift & 0xffU));
  to += bytes;
}

// "sha256:" NUL digest; the path with its NUL
Measured entry_of(string_view data) {
  Measured entry;
  Reader fields(data);
  const string_view digest = fields.sized(), name = fields.sized();
  constexpr string_view algorithm("sha256:\0", 8);
  if (digest.starts_with(algorithm)) entry.sha256 = hex_of(digest.substr(algorithm.size()));
  entry.name = trimmed(name, string_view("\0", 1));
  return entry;
}

}  // namespace

PcrValue extended(const PcrValue& value, string_view digest) { return digest_bytes(value + std::string(digest)); }

std::vector<Measured> read_events(string_view text, std::string boot) {
  std::vector<json> events;
  for (const string_view line : lines_of(text)) {
    events.push_back(json::parse(line, nullptr, false));
    if (!events.back().is_object()) throw Error(fmt::format("line {} of the event log is no event", events.size()));
  }
  if (boot.empty() && !events.empty()) boot = text_field(events.back(), "boot_id");
  std::vector<Measured> measured;
  for (const json& event : events) {
    if (text_field(event, "event") != "measured" || text_field(event, "boot_id") != boot) continue;
    const std::string digest = text_field(event, "sha256");
    if (!is_digest(digest)) throw Error("an event of the log has no digest");
    measured.push_back({digest, text_field(event, "name"), bytes_of_hex(digest)});
  }
  return measured;
}

// u32 register ‖ digest of the entry (20 or 32 bytes) ‖ u32 n ‖ template's name ‖ u32 n ‖ fields; an entry whose digest is
// zeros tells of a file that was written to while it was measured.
std::vector<Measured> read_ima_log(string_view bytes, unsigned pcr) {
  // The list of a bank has digests of its size: a name of sane length follows the right one.
  const auto fits = [&](size_t size) {
    return bytes.size() > size + 8 && Reader(bytes.substr(4 + size)).number() <= 32;
  };
  const size_t size = fits(20) ? 20 : digest_size;
  std::vector<Measured> measured;
  for (Reader log(bytes); !log.done();) {
    const uint32_t number = log.number();
    const std::string digest(log.take(size)), form(log.sized()), fields(log.sized());
    if (form == "ima") throw Error("the log has entries of the template \"ima\", which has no digests of files");
    Measured entry = entry_of(fields);
    if (digest == std::string(size, '\0')) {
      entry.extends = std::string(digest_size, '\xff');
    } else {
      entry.extends = digest_bytes(fields);
      if (size == digest_size && digest != entry.extends)
        throw Error(fmt::format("the log's entry of {} has been changed", entry.name));
    }
    if (number == pcr) measured.push_back(std::move(entry));
  }
  return measured;
}

std::string ima_template_digest(string_view sha256, string_view path) {
  std::string fields;
  append_sized(fields, std::string("sha256:\0", 8) + bytes_of_hex(sha256));
  append_sized(fields, std::string(path) + '\0');
  append_sized(fields, {});
  return digest_bytes(fields);
}

PcrValue replayed(const std::vector<Measured>& measured) {
  PcrValue value(digest_size, '\0');
  for (const Measured& entry : measured) value = extended(value, entry.extends);
  return value;
}

std::set<std::string> read_allow_list(string_view text) {
  std::set<std::string> allowed;
  unsigned number = 0;
  for (const string_view line : lines_of(text)) {
    ++number;
    const auto words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    if (!is_digest(words[0]))
      throw Error(fmt::format("line {} of the allow list doesn't begin with a SHA-256", number));
    allowed.emplace(words[0]);
  }
  return allowed;
}

std::vector<std::string> against(const Quote& quote, string_view nonce, const std::vector<Measured>& measured,
                                 const std::set<std::string>& allowed, bool all) {
  std::vector<std::string> reasons;
  if (quote.nonce != nonce)
    reasons.push_back(fmt::format("the quote is for another nonce, {}: it may be an old one", hex_of(quote.nonce)));
  const PcrValue value = replayed(measured);
  if (digest_bytes(value) != quote.digest)
    reasons.push_back(fmt::format("the log isn't what PCR {} was extended by: its {} entries lead to {}", quote.pcr,
                                  measured.size(), hex_of(value)));
  for (const Measured& entry : measured)
    if ((all || is_module(entry.name)) && !allowed.contains(entry.sha256))
      reasons.push_back(fmt::format("{} ({}) isn't on the allow list", entry.name,
                                    entry.sha256.empty() ? "without a SHA-256" : entry.sha256));
  return reasons;
}

}  // namespace kpatch
