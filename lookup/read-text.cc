// Reads symbols from what `readelf -s --wide` printed, for those who keep such a list of their kernel and not its
// vmlinux:
//
//   Symbol table '.symtab' contains 189135 entries:
//      Num:    Value          Size Type    Bind   Vis      Ndx Name
//        0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND
//   150842: ffffffff81000000     0 NOTYPE  GLOBAL DEFAULT    1 _text
//    32177: 0000000000000000   0x1f4 <OS specific>: 10 LOCAL  DEFAULT [<other: 60>]     5 odd
//
// Fields are separated by blanks, the unknown type and the other bits of Vis can hold blanks themselves, a name can be
// missing or of any length. The header's number of entries tells whether the text is whole. Text made without --wide
// cuts names short and is refused, since a name that ends in "[...]" is not the symbol's.
//
// The text does not say whether it is of a vmlinux or of a module, which decides how sympos counts: a vmlinux defines
// _text or _stext, a module never does.
#include <elf.h>

#include <array>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "lookup/binary-data.h"
#include "support/error.h"

namespace kpatch {

namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class TextReader {
 public:
  explicit TextReader(BinaryData& data) : data_(data), rest_(as_text(data.file.bytes())) {}

  void run() {
    bool in_table = false;
    uint64_t announced = 0;
    while (!rest_.empty()) {
      std::string_view line = next_line();
      if (line.starts_with("Symbol table '")) {
        in_table = line.find("'.symtab'") != line.npos;
        if (in_table) announced = entry_count(line);
      } else if (in_table && !line.empty() && line.find("Num:") == line.npos) {
        data_.symbols.push_back(read_symbol(line));
      }
    }
    if (data_.symbols.empty()) fail("it has no symbol table '.symtab'");
    if (data_.symbols.size() != announced)
      fail(fmt::format("cut off: {} of {} symbols", data_.symbols.size(), announced));
    data_.relocatable = true;
    for (const BinarySymbol& symbol : data_.symbols)
      if (symbol.defined() && (symbol.name == "_text" || symbol.name == "_stext")) data_.relocatable = false;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("'{}': {}", data_.path.string(), what));
  }
  [[noreturn]] void fail_line() const {
    throw Error(fmt::format("'{}', line {}: not a symbol as readelf -s --wide prints it, or cut off",
                            data_.path.string(), line_number_));
  }

  std::string_view next_line() {
    size_t end = rest_.find('\n');
    ++line_number_;
    if (end == rest_.npos) fail(fmt::format("line {}: the last line is cut off", line_number_));
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  static std::string_view next_word(std::string_view& line) {
    size_t start = line.find_first_not_of(' ');
    if (start == line.npos) return line = {};
    line.remove_prefix(start);
    std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    return word;
  }

  // "<OS specific>: 10", "<unknown>: 7" are one field.
  static std::string_view next_field(std::string_view& line) {
    std::string_view word = next_word(line);
    if (!word.starts_with('<')) return word;
    std::string_view part = word;
    while (!part.empty() && !part.ends_with(">:")) part = next_word(line);
    next_word(line);
    return word;
  }

  uint64_t number(std::string_view word, int base) const {
    uint64_t value = 0;
    if (word.starts_with("0x")) word.remove_prefix(2), base = 16;
    auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value, base);
    if (problem != std::errc() || end != word.data() + word.size()) fail_line();
    return value;
  }

  uint64_t entry_count(std::string_view line) const {
    size_t at = line.find("contains ");
    if (at == line.npos) fail_line();
    line.remove_prefix(at + std::strlen("contains "));
    return number(line.substr(0, line.find(' ')), 10);
  }

  BinarySymbol read_symbol(std::string_view line) {
    std::string_view place = next_word(line);
    if (!place.ends_with(':')) fail_line();
    if (number(place.substr(0, place.size() - 1), 10) != data_.symbols.size())
      fail(fmt::format("line {}: symbol {} is missing", line_number_, data_.symbols.size()));
    BinarySymbol symbol;
    symbol.value = number(next_word(line), 16);
    symbol.size = number(next_word(line), 10);
    symbol.type = type_of(next_field(line));
    std::string_view binding = next_field(line);
    symbol.binding = binding == "LOCAL"  ? SymbolBinding::local
                     : binding == "WEAK" ? SymbolBinding::weak
                                         : SymbolBinding::global;
    next_word(line);  // visibility
    std::string_view section = next_word(line);
    if (section.starts_with('[')) {  // other bits, "[<localentry>: 8]"
      while (!section.empty() && !section.ends_with(']')) section = next_word(line);
      section = next_word(line);
    }
    if (section.empty()) fail_line();
    symbol.section = section_of(section);
    symbol.name = next_word(line);
    if (symbol.name.ends_with("[...]"))
      fail(fmt::format("line {}: names are cut short; make it with readelf -s --wide", line_number_));
    if (symbol.type == SymbolType::section) symbol.name = {};  // readelf prints the section's
    group(symbol);
    return symbol;
  }

  void group(BinarySymbol& symbol) {
    if (symbol.type == SymbolType::file && symbol.binding == SymbolBinding::local) {
      file_ = data_.files.size();
      data_.files.push_back({symbol.name, static_cast<uint32_t>(data_.symbols.size() + 1), 0});
    } else if (symbol.binding != SymbolBinding::local) {
      file_ = BinarySymbol::no_file;
    } else if (file_ != BinarySymbol::no_file) {
      symbol.file = file_;
      ++data_.files[file_].count;
    }
  }

  uint32_t section_of(std::string_view word) const {
    if (word == "UND") return SHN_UNDEF;
    if (word == "ABS") return reserved_section(SHN_ABS);
    if (word == "COM") return reserved_section(SHN_COMMON);
    // Processor- and OS-specific ones: "PRC[0xff20]", "OS [0xff3f]".
    size_t bracket = word.find("[0x");
    if (bracket != word.npos && word.ends_with(']'))
      return reserved_section(static_cast<uint16_t>(number(word.substr(bracket + 1, word.size() - bracket - 2), 16)));
    return number(word, 10);
  }

  static SymbolType type_of(std::string_view word) {
    struct Known {
      std::string_view word;
      SymbolType type;
    };
    static constexpr std::array<Known, 7> known = {{{"OBJECT", SymbolType::object},
                                                    {"FUNC", SymbolType::function},
                                                    {"SECTION", SymbolType::section},
                                                    {"FILE", SymbolType::file},
                                                    {"COMMON", SymbolType::common},
                                                    {"TLS", SymbolType::tls},
                                                    {"IFUNC", SymbolType::ifunc}}};
    for (const Known& entry : known)
      if (entry.word == word) return entry.type;
    return SymbolType::none;
  }

  BinaryData& data_;
  std::string_view rest_;
  size_t line_number_ = 0;
  uint32_t file_ = BinarySymbol::no_file;
};

}  // namespace

bool looks_like_symbol_text(std::span<const std::byte> bytes) {
  std::string_view text = as_text(bytes.first(std::min<size_t>(bytes.size(), 4096)));
  size_t start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos) return false;
  text.remove_prefix(start);
  // readelf names the file first when it was given several: "File: vmlinux".
  return text.starts_with("Symbol table '") || text.starts_with("File: ");
}

void read_symbol_text(BinaryData& data) { TextReader(data).run(); }

}  // namespace kpatch
