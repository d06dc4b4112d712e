// Which codestreams there are, and which of them are meant.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kpatch {

struct Arch;

// A packaged kernel release that is kept patched.
struct Codestream {
  std::string name;     // "6.12.117+deb12-cloud-amd64"; of a CSV its first column, "15.5u40"
  std::string kernel;   // a release, or a folder with a built kernel
  std::string version;  // of its packages; may be empty
  std::string suite;    // "bookworm"; may be empty
  std::string project;  // of a CSV
  std::string eol;      // until when it is kept, "2027-06-30"; may be empty
  std::string missing;  // a package that the archive lacks: nothing can be built

  // "6.12-cloud" of a release, "15.5" of 15.5u40: what its fixes are made for.
  std::string base() const;
  // Of the release's packages; of a folder that of this machine. nullptr: one that isn't supported.
  const Arch* architecture() const;
  std::string arch() const;  // "x86_64"
};

// Days from today to "2027-06-30", below 0 when that is past; nothing for what is no date.
std::optional<int> days_until(const std::string& date);

// Lines of NAME,PROJECT,KERNEL,UNTIL[,LTSS-UNTIL]; '#' begins a comment. Throws Error that has all that is wrong.
std::vector<Codestream> parse_codestreams(std::string_view text, const std::string& file);

// data_dir/codestreams.json, which `data --update` writes. Throws Error when it can't be read.
std::vector<Codestream> read_catalogue(const std::filesystem::path& file);
void write_catalogue(const std::filesystem::path& file, const std::vector<Codestream>& codestreams);

// Which names an expression means: one that is a name or begins one, as it stands; else a regular expression that is
// tried from the name's beginning. Empty: all. Throws Error when it is no expression, with the place.
std::function<bool(std::string_view name)> filter_of(const std::string& expression,
                                                     const std::vector<std::string>& names);

// "15.2u10-11 15.3u10": names of which those with an update number are joined where none of `all` lies between them.
std::string group_name(const std::vector<std::string>& names, const std::vector<std::string>& all);

}  // namespace kpatch
