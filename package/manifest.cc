// Reading a manifest
//
//     packages:
//       - name: livepatch-test
//         version: 2
//         patches:
//           - filename: livepatch-test.patch
//             kernels: [3.10.0-229.el7, 3.10.0-229.1.2.el7]
//
// Each key must be there and no other one; a key that is there twice, or a list without entries, is an error with its line,
// since a package that silently holds less than somebody wrote down is worse than none.
//
// yaml-cpp makes no objects of tags and shares what aliases name, but a walk through aliases of aliases takes for ever all
// the same. A manifest needs neither, so both are refused where the parser meets them, before a document is made of it.
#include "package/manifest.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <sstream>
#include <string_view>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t largest = 1 << 20;

class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(file) {}

  std::vector<ManifestPackage> read() {
    const std::string text = read_file(file_);
    if (text.size() > largest) throw Error(fmt::format("{}: more than 1 MiB; is it a manifest?", file_.string()));
    try {
      require_plain(text);
      return packages(YAML::Load(text));
    } catch (const YAML::Exception& error) {
      fail(error.mark, error.msg);
    }
  }

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
    throw Error(mark.is_null() ? fmt::format("{}: {}", file_.string(), what)
                               : fmt::format("{}:{}: {}", file_.string(), mark.line + 1, what));
  }

 private:
  // Sees the document as the parser does.
  class PlainOnly : public YAML::EventHandler {
   public:
    explicit PlainOnly(const Reader& reader) : reader_(reader) {}
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { look(mark, "", anchor); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
      reader_.fail(mark, "an alias; manifests are written out");
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string&) override {
      look(mark, tag, anchor);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
      look(mark, tag, anchor);
    }
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
      look(mark, tag, anchor);
    }
    void OnMapEnd() override {}

   private:
    // "?" and "!" are what the parser says of plain and quoted texts without a tag.
    void look(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
      if (anchor != 0) reader_.fail(mark, "an anchor; manifests are written out");
      if (!tag.empty() && tag != "?" && tag != "!")
        reader_.fail(mark, fmt::format("a tag, {}; none has a meaning here", tag));
    }
    const Reader& reader_;
  };

  void require_plain(const std::string& text) const {
    std::istringstream in(text);
    YAML::Parser parser(in);
    PlainOnly look(*this);
    for (int documents = 0; parser.HandleNextDocument(look);)
      if (++documents > 1) throw Error(fmt::format("{}: several documents; a manifest is one", file_.string()));
  }

  // A map with these keys, each once and no other.
  void require_keys(const YAML::Node& node, const std::string& what,
                    std::initializer_list<std::string_view> keys) const {
    const auto known = [&] {
      std::string text;
      for (const std::string_view key : keys) text += (text.empty() ? "" : ", ") + std::string(key);
      return text;
    };
    if (!node.IsMap()) fail(node.Mark(), fmt::format("{} has keys: {}", what, known()));
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const YAML::Node& key = entry.first;
      const std::string name = key.IsScalar() ? key.Scalar() : std::string("?");
      if (std::ranges::find(keys, name) == keys.end())
        fail(key.Mark(), fmt::format("unknown key \"{}\"; {} has {}", name, what, known()));
      if (!seen.insert(name).second) fail(key.Mark(), fmt::format("\"{}\" a second time", name));
    }
    for (const std::string_view key : keys)
      if (!seen.contains(std::string(key))) fail(node.Mark(), fmt::format("{} lacks the key \"{}\"", what, key));
  }

  void require_list(const YAML::Node& node, const std::string& what) const {
    if (!node.IsSequence()) fail(node.Mark(), fmt::format("{}: a list is meant", what));
    if (node.size() == 0) fail(node.Mark(), fmt::format("{}: the list is empty", what));
  }

  std::string text(const YAML::Node& node, const std::string& what) const {
    if (!node.IsScalar() || node.Scalar().empty()) fail(node.Mark(), fmt::format("{}: a text is meant", what));
    return node.Scalar();
  }

  std::vector<ManifestPackage> packages(const YAML::Node& top) const {
    require_keys(top, "a manifest", {"packages"});
    require_list(top["packages"], "packages");
    std::vector<ManifestPackage> found;
    for (const YAML::Node& entry : top["packages"]) {
      require_keys(entry, "a package", {"name", "version", "patches"});
      ManifestPackage package;
      package.line = entry.Mark().line + 1;
      package.name = text(entry["name"], "name");
      package.version = text(entry["version"], "version");
      if (std::ranges::count(found, package.name, &ManifestPackage::name) > 0)
        fail(entry["name"].Mark(), fmt::format("a second package of the name {}", package.name));
      require_list(entry["patches"], "patches");
      for (const YAML::Node& patch : entry["patches"]) package.patches.push_back(patch_of(patch));
      found.push_back(std::move(package));
    }
    return found;
  }

  ManifestPatch patch_of(const YAML::Node& node) const {
    require_keys(node, "a patch", {"filename", "kernels"});
    ManifestPatch patch;
    patch.line = node.Mark().line + 1;
    patch.file = file_.parent_path() / text(node["filename"], "filename");
    require_list(node["kernels"], "kernels");
    for (const YAML::Node& kernel : node["kernels"]) {
      const std::string name = text(kernel, "kernels");
      if (std::ranges::count(patch.kernels, name) > 0) fail(kernel.Mark(), fmt::format("{} a second time", name));
      patch.kernels.push_back(name);
    }
    return patch;
  }

  const fs::path& file_;
};

}  // namespace

std::vector<ManifestPackage> read_manifest(const fs::path& file) { return Reader(file).read(); }

}  // namespace kpatch
