// Reading a 340 MB vmlinux takes half a second and sorting its 190,000 symbols some more; each of the objects of a
// patch would pay for it. The index holds the result: a file that is mapped and checked, not parsed.
//
// Layout, in the byte order of the machine that wrote it (an index is a cache beside its vmlinux, and never travels):
//
//   header     magic, byte order mark, version, size of the whole file, checksum of everything behind the header
//   strings    every name, one after the other, not terminated
//   arrays     symbols, file groups, names in order, section names, units, struct sizes, each: u64 count, entries
//   facts      machine, bounds, banner, producer, build id
//
// A name is (offset, length) into the strings. Everything starts at a multiple of 8. The checksum (XXH3) finds damage;
// each count, offset and index is checked besides, so that not even a forged index can make a reader leave the file.
// Another version or another byte order is an Error like any damage: whoever wants the index makes it anew, and keeps it
// under the digest of what it was made of.

#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include <fmt/format.h>
#include <xxhash.h>

#include "lookup/binary-data.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace {

constexpr char index_magic[8] = {'k', 'p', 'a', 't', 'c', 'h', 'i', 'x'};
constexpr uint32_t index_order = 0x01020304;

struct Header {
  char magic[8];
  uint32_t order;
  uint32_t version;
  uint64_t size;
  uint64_t checksum;
};

struct Name {
  uint32_t offset;
  uint32_t length;
};

struct SymbolEntry {
  uint64_t value;
  uint64_t size;
  Name name;
  uint32_t section;
  uint32_t file;
  uint8_t type;
  uint8_t binding;
  uint8_t flags;
  uint8_t padding[5];
};
enum SymbolFlag : uint8_t { flag_ftrace = 1, flag_landing_pad = 2, flag_sealed = 4 };

struct FileEntry {
  Name name;
  uint32_t first;
  uint32_t count;
};

struct StructEntry {
  Name name;
  uint64_t size;
};

struct Facts {
  uint64_t ro_after_init_start;
  uint64_t ro_after_init_end;
  Name banner;
  Name producer;
  Name build_id;
  uint16_t machine;
  uint8_t relocatable;
  uint8_t big_endian;
  uint32_t padding;
};

class IndexWriter {
 public:
  Name add_name(std::string_view name) {
    if (strings_.size() + name.size() > std::numeric_limits<uint32_t>::max())
      throw Error("the names of its symbols need more than 4 GiB: no index can be made");
    Name entry{static_cast<uint32_t>(strings_.size()), static_cast<uint32_t>(name.size())};
    strings_ += name;
    return entry;
  }

  template <typename T>
  void add_array(std::span<const T> entries) {
    static_assert(std::has_unique_object_representations_v<T>, "padding would make equal indices differ");
    uint64_t count = entries.size();
    add_bytes(arrays_, &count, sizeof count);
    add_bytes(arrays_, entries.data(), entries.size_bytes());
  }

  std::string finish() const {
    std::string body;
    uint64_t length = strings_.size();
    add_bytes(body, &length, sizeof length);
    add_bytes(body, strings_.data(), strings_.size());
    body += arrays_;
    Header header{};
    std::memcpy(header.magic, index_magic, sizeof index_magic);
    header.order = index_order;
    header.version = index_version;
    header.size = sizeof header + body.size();
    header.checksum = XXH3_64bits(body.data(), body.size());
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    return file + body;
  }

 private:
  static void add_bytes(std::string& to, const void* bytes, size_t count) {
    if (count != 0) to.append(static_cast<const char*>(bytes), count);
    to.resize((to.size() + 7) / 8 * 8);
  }

  std::string strings_;
  std::string arrays_;
};

class IndexReader {
 public:
  explicit IndexReader(BinaryData& data) : data_(data), bytes_(data.file.bytes()) {}

  void run() {
    check_header();
    std::span<const char> strings = take<char>();
    strings_ = {strings.data(), strings.size()};
    read_symbols();
    read_files();
    data_.by_name = take<uint32_t>();
    for (uint32_t symbol : data_.by_name) check(symbol < data_.symbols.size());
    for (const Name& entry : take<Name>()) data_.sections.push_back({name(entry), 0, 0, 0, 0, {}});
    data_.units.emplace();
    for (const Name& entry : take<Name>()) data_.units->names.push_back(name(entry));
    for (const StructEntry& entry : take<StructEntry>())
      data_.struct_sizes.emplace_back(std::string(name(entry.name)), entry.size);
    read_facts();
    check(at_ == bytes_.size());
  }

 private:
  void check(bool sound) const {
    if (!sound) throw Error(fmt::format("'{}': a damaged index; delete it", data_.path.string()));
  }

  void check_header() {
    Header header;
    check(bytes_.size() >= sizeof header);
    std::memcpy(&header, bytes_.data(), sizeof header);
    if (header.order != index_order || header.version != index_version)
      throw Error(fmt::format("'{}': an index of another version; delete it", data_.path.string()));
    check(header.size == bytes_.size());
    at_ = sizeof header;
    check(header.checksum == XXH3_64bits(bytes_.data() + at_, bytes_.size() - at_));
  }

  template <typename T>
  std::span<const T> take() {
    check(bytes_.size() - at_ >= 8);
    uint64_t count;
    std::memcpy(&count, bytes_.data() + at_, sizeof count);
    at_ += 8;
    check(count <= (bytes_.size() - at_) / sizeof(T));
    // The file starts at a page and everything in it at a multiple of 8.
    std::span<const T> entries(reinterpret_cast<const T*>(bytes_.data() + at_), count);
    at_ += (count * sizeof(T) + 7) / 8 * 8;
    check(at_ <= bytes_.size());
    return entries;
  }

  std::string_view name(const Name& entry) const {
    check(entry.offset <= strings_.size() && entry.length <= strings_.size() - entry.offset);
    return strings_.substr(entry.offset, entry.length);
  }

  void read_symbols() {
    std::span<const SymbolEntry> entries = take<SymbolEntry>();
    data_.symbols.reserve(entries.size());
    for (const SymbolEntry& entry : entries) {
      check(entry.type <= uint8_t(SymbolType::ifunc) && entry.binding <= uint8_t(SymbolBinding::weak));
      BinarySymbol symbol;
      symbol.name = name(entry.name);
      symbol.value = entry.value;
      symbol.size = entry.size;
      symbol.section = entry.section;
      symbol.file = entry.file;
      symbol.type = SymbolType(entry.type);
      symbol.binding = SymbolBinding(entry.binding);
      symbol.has_ftrace_site = (entry.flags & flag_ftrace) != 0;
      symbol.has_landing_pad = (entry.flags & flag_landing_pad) != 0;
      symbol.landing_pad_sealed = (entry.flags & flag_sealed) != 0;
      data_.symbols.push_back(symbol);
    }
  }

  void read_files() {
    for (const FileEntry& entry : take<FileEntry>()) {
      check(entry.first <= data_.symbols.size() && entry.count <= data_.symbols.size() - entry.first);
      data_.files.push_back({name(entry.name), entry.first, entry.count});
    }
    for (const BinarySymbol& symbol : data_.symbols)
      check(symbol.file == BinarySymbol::no_file || symbol.file < data_.files.size());
  }

  void read_facts() {
    std::span<const Facts> all = take<Facts>();
    check(all.size() == 1);
    const Facts& facts = all.front();
    data_.machine = facts.machine;
    data_.relocatable = facts.relocatable != 0;
    data_.big_endian = facts.big_endian != 0;
    data_.ro_after_init_start = facts.ro_after_init_start;
    data_.ro_after_init_end = facts.ro_after_init_end;
    data_.banner = name(facts.banner);
    data_.build_id = name(facts.build_id);
    data_.units->producer = name(facts.producer);
  }

  BinaryData& data_;
  std::span<const std::byte> bytes_;
  std::string_view strings_;
  size_t at_ = 0;
};

}  // namespace

bool looks_like_index(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof index_magic && std::memcmp(bytes.data(), index_magic, sizeof index_magic) == 0;
}

void read_index(BinaryData& data) { IndexReader(data).run(); }

void write_index(const BinaryData& data, std::span<const std::pair<std::string_view, uint64_t>> struct_sizes,
                 const UnitFacts& units, const std::filesystem::path& path) {
  IndexWriter writer;
  std::vector<SymbolEntry> symbols;
  symbols.reserve(data.symbols.size());
  for (const BinarySymbol& symbol : data.symbols) {
    SymbolEntry entry{};
    entry.value = symbol.value;
    entry.size = symbol.size;
    entry.name = writer.add_name(symbol.name);
    entry.section = symbol.section;
    entry.file = symbol.file;
    entry.type = uint8_t(symbol.type);
    entry.binding = uint8_t(symbol.binding);
    entry.flags = (symbol.has_ftrace_site ? flag_ftrace : 0) | (symbol.has_landing_pad ? flag_landing_pad : 0) |
                  (symbol.landing_pad_sealed ? flag_sealed : 0);
    symbols.push_back(entry);
  }
  writer.add_array(std::span<const SymbolEntry>(symbols));

  std::vector<FileEntry> files;
  for (const FileGroup& file : data.files) files.push_back({writer.add_name(file.name), file.first, file.count});
  writer.add_array(std::span<const FileEntry>(files));
  writer.add_array(data.by_name);

  std::vector<Name> names;
  for (const BinarySection& section : data.sections) names.push_back(writer.add_name(section.name));
  writer.add_array(std::span<const Name>(names));
  names.clear();
  for (std::string_view unit : units.names) names.push_back(writer.add_name(unit));
  writer.add_array(std::span<const Name>(names));

  std::vector<StructEntry> structs;
  for (const auto& [name, size] : struct_sizes) structs.push_back({writer.add_name(name), size});
  writer.add_array(std::span<const StructEntry>(structs));

  Facts facts{};
  facts.ro_after_init_start = data.ro_after_init_start;
  facts.ro_after_init_end = data.ro_after_init_end;
  facts.banner = writer.add_name(data.banner);
  facts.producer = writer.add_name(units.producer);
  facts.build_id = writer.add_name(data.build_id);
  facts.machine = data.machine;
  facts.relocatable = data.relocatable;
  facts.big_endian = data.big_endian;
  writer.add_array(std::span<const Facts>(&facts, 1));

  write_file(path, writer.finish());
}

}  // namespace kpatch
