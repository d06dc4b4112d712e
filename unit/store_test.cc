// What a team shares: entries of caches that lie elsewhere, entries that somebody tampered with, stores that don't answer.
#include "store/store.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "sign/sign.h"
#include "support/error.h"
#include "support/files.h"
#include "support/pack.h"
#include "support/sha256.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string text_of_key(const fs::path& cache, const std::string& config = "1") {
  return CacheKey()
      .add("base", "stock 2")
      .add("release", "6.12.1")
      .add("source path", (cache / "source/5e70/tree").string())
      .add("config", config)
      .add("toolchain", (cache / "toolchain/7dfc/root").string())
      .text();
}

// Two workers and a team: keys, a store, and a base in the one's cache.
class SharedEntry : public testing::Test {
 protected:
  SharedEntry() { keys_ = keys("keys"); }

  KeyFiles keys(const char* name) const {
    KeyRequest request;
    request.folder = folder_.path() / name;
    request.kind = KeyKind::p384;
    generate_keys(request);
    return key_files(request.folder);
  }

  StorePlace place() const { return {(folder_.path() / "store").string(), false, keys_.key.string(), keys_.pem, 5}; }

  CacheKey key(const char* worker) const {
    CacheKey key;
    const fs::path cache = folder_.path() / worker;
    return key.add("base", "stock 2")
        .add("release", "6.12.1")
        .add("source path", (cache / "source/5e70/tree").string())
        .add("toolchain", (cache / "toolchain/7dfc/root").string());
  }

  // As kbuild writes it.
  void fill(const char* worker, const fs::path& base) {
    ++made_;
    const std::string source = (folder_.path() / worker / "source/5e70/tree").string();
    fs::create_directories(base / "kbuild/scripts");
    write_file(base / "config", "CONFIG_X=y\n");
    write_file(base / "kbuild/Makefile", "include " + source + "/Makefile\n");
    write_file(base / "kbuild/scripts/.fixdep.cmd", "in " + base.string() + "/kbuild by " + source + "/../7dfc\n");
    write_file(base / "kbuild/scripts/fixdep", std::string("\x7f"
                                                           "ELF\0",
                                                           5) +
                                                   source);
    chmod((base / "kbuild/scripts/fixdep").c_str(), 0755);
    fs::create_symlink(source, base / "kbuild/source");
    for (const char* name : {"kbuild/Makefile", "kbuild/scripts/.fixdep.cmd"})
      fs::last_write_time(base / name, fs::file_time_type(std::chrono::seconds(1000)));
  }

  fs::path base_of(const char* worker, const StorePlace& place) {
    Cache cache(folder_.path() / worker, console_);
    cache.use(shared_entries(place, console_));
    return cache.entry("base", key(worker), "the base", [&](const fs::path& base) { fill(worker, base); });
  }

  fs::path list() const { return entries_of(folder_.path() / "store/entries").at(0).path(); }

  // Signs the list as somebody changed it.
  void rewrite(const std::function<void(json&)>& change, const KeyFiles& signer) const {
    const std::string text = read_file(list());
    json content = json::parse(split_signature(text, "list").content);
    change(content);
    write_file(list(), sign_module(content.dump(), "list", Signer::open(signer.key.string(), signer.pem)));
  }

  // An entry of other contents, well signed.
  void replace_with(std::vector<PackedTree> trees) {
    const fs::path packed = folder_.path() / "packed";
    pack(packed, trees);
    const std::string digest = sha256_of_file(packed);
    fs::copy_file(packed, folder_.path() / "store/files" / digest);
    rewrite(
        [&](json& list) {
          list["files"]["entry.tar.zst"] = digest;
          list["sizes"]["entry.tar.zst"] = fs::file_size(packed);
        },
        keys_);
  }

  // What the second worker says; it makes its own.
  std::string refused() {
    const unsigned before = made_;
    fs::remove_all(folder_.path() / "two/base");
    testing::internal::CaptureStderr();
    const fs::path base = base_of("two", place_without_keeping());
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(made_, before + 1) << said;
    EXPECT_EQ(read_file(base / "config"), "CONFIG_X=y\n");
    EXPECT_NE(said.find("the base is made here"), std::string::npos) << said;
    return said;
  }
  StorePlace place_without_keeping() const {
    StorePlace reading = place();
    reading.read_only = true;
    return reading;
  }

  TemporaryFolder folder_;
  Console console_{0};
  KeyFiles keys_;
  unsigned made_ = 0;
};

TEST_F(SharedEntry, ABaseIsFetchedAndItsPathsAreThoseOfTheOtherCache) {
  const fs::path one = base_of("one", place()), two = base_of("two", place());
  EXPECT_EQ(made_, 1U);
  EXPECT_NE(one.filename(), two.filename());
  const std::string source = (folder_.path() / "two/source/5e70/tree").string();
  EXPECT_EQ(read_file(two / "kbuild/Makefile"), "include " + source + "/Makefile\n");
  EXPECT_EQ(read_file(two / "kbuild/scripts/.fixdep.cmd"),
            "in " + two.string() + "/kbuild by " + source + "/../7dfc\n");
  EXPECT_EQ(fs::read_symlink(two / "kbuild/source"), source);
  EXPECT_EQ(read_file(two / "kbuild/scripts/fixdep"), read_file(one / "kbuild/scripts/fixdep"));
  for (const char* name : {"kbuild/Makefile", "kbuild/scripts/.fixdep.cmd", "kbuild/scripts/fixdep"}) {
    EXPECT_EQ(fs::last_write_time(one / name), fs::last_write_time(two / name)) << name;
    EXPECT_EQ(fs::status(one / name).permissions(), fs::status(two / name).permissions()) << name;
  }
  EXPECT_EQ(read_file(two / "key.txt"), key("two").text());
}

TEST_F(SharedEntry, WhoMayNotWriteOrHasNoKeyKeepsNothing) {
  base_of("one", place_without_keeping());
  StorePlace without_key = place();
  without_key.key.clear();
  fs::remove_all(folder_.path() / "one/base");
  base_of("one", without_key);
  EXPECT_FALSE(fs::exists(folder_.path() / "store"));
}

TEST_F(SharedEntry, WhatIsTornUnsignedOrOfOthersIsMadeAnew) {
  base_of("one", place());
  const std::string good = read_file(list());
  const fs::path file = entries_of(folder_.path() / "store/files").at(0).path();
  const std::string bytes = read_file(file);

  write_file(file, bytes.substr(0, bytes.size() / 2));
  EXPECT_NE(refused().find("isn't what it was"), std::string::npos);
  write_file(file, bytes + "more");
  EXPECT_NE(refused().find("larger than its list says"), std::string::npos);
  fs::remove(file);
  EXPECT_NE(refused().find(file.filename().string()), std::string::npos);
  write_file(file, bytes);

  write_file(list(), good.substr(0, 100));
  refused();
  write_file(list(), split_signature(good, "list").content);
  EXPECT_NE(refused().find("is not signed"), std::string::npos);
  write_file(list(), good);
  rewrite([](json&) {}, keys("others"));
  EXPECT_NE(refused().find("a key that isn't trusted"), std::string::npos);

  // Well signed, and of another kernel.
  write_file(list(), good);
  rewrite([&](json& list) { list["of"] = text_of_key(folder_.path() / "one", "2"); }, keys_);
  EXPECT_NE(refused().find("another's"), std::string::npos);
  write_file(list(), good);
  rewrite([](json& list) { list["directory"] = "/"; }, keys_);
  EXPECT_NE(refused().find("no path of a cache"), std::string::npos);

  write_file(list(), good);
  base_of("two", place());
}

TEST_F(SharedEntry, NothingOfAHostileOneIsUsed) {
  base_of("one", place());
  const fs::path evil = folder_.path() / "evil";
  fs::create_directories(evil / "kbuild");
  write_file(evil / "config", "evil");
  write_file(evil / "kbuild/x", "evil");

  replace_with({{evil, "../.."}});
  EXPECT_NE(refused().find("which none has"), std::string::npos);
  replace_with({{evil / "config", "config"}, {evil / "kbuild", "kbuild/../../../up"}});
  EXPECT_NE(refused().find("wants to write to"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_.path() / "up"));
  replace_with({{evil / "config", "config"}, {evil / "kbuild", "kbuild"}, {evil / "config", "complete"}});
  EXPECT_NE(refused().find("complete, which none has"), std::string::npos);
  replace_with({{evil / "config", "config"}});
  EXPECT_NE(refused().find("holds no kbuild"), std::string::npos);

  fs::create_symlink("/etc", evil / "kbuild/etc");
  replace_with({{evil / "config", "config"}, {evil / "kbuild", "kbuild"}});
  EXPECT_NE(refused().find("etc, a link to /etc"), std::string::npos);
  fs::remove(evil / "kbuild/etc");
  fs::create_symlink("../../../other", evil / "kbuild/up");
  replace_with({{evil / "config", "config"}, {evil / "kbuild", "kbuild"}});
  EXPECT_NE(refused().find("up, a link to ../../../other"), std::string::npos);
  fs::remove(evil / "kbuild/up");

  // A folder that is a link elsewhere, and a file that goes through it.
  fs::create_directories(folder_.path() / "elsewhere");
  fs::remove_all(evil / "kbuild");
  fs::create_directories(evil / "linked");
  fs::create_symlink(folder_.path() / "elsewhere", evil / "linked/kbuild");
  fs::create_directories(evil / "kbuild");
  write_file(evil / "kbuild/x", "evil");
  replace_with({{evil / "config", "config"}, {evil / "linked", "."}, {evil / "kbuild", "kbuild"}});
  refused();
  EXPECT_TRUE(fs::is_empty(folder_.path() / "elsewhere"));
}

TEST_F(SharedEntry, ItIsOursAndMayDoNothingSpecial) {
  base_of("one", place());
  const fs::path evil = folder_.path() / "evil";
  fs::create_directories(evil / "kbuild");
  write_file(evil / "config", "c");
  write_file(evil / "kbuild/x", "x");
  chmod((evil / "kbuild/x").c_str(), 06777);
  replace_with({{evil / "config", "config"}, {evil / "kbuild", "kbuild"}});
  const fs::path base = base_of("two", place());
  struct stat info {};
  ASSERT_EQ(stat((base / "kbuild/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755U);
  EXPECT_EQ(info.st_uid, geteuid());
}

TEST_F(SharedEntry, ARootThatIsntWhatItWasIsMadeAnew) {
  const auto root_of = [&](const char* worker, bool whole) {
    Cache cache(folder_.path() / worker, console_);
    cache.use(shared_entries(place(), console_));
    const CacheKey needs = CacheKey().add("toolchain of", "gcc");
    return cache.entry(
        "toolchain", needs, "the root",
        [&](const fs::path& made) {
          ++made_;
          fs::create_directories(made / "root/usr/bin");
          write_file(made / "root/usr/bin/gcc", "x");
          fs::create_symlink("/etc/alternatives/cc", made / "root/usr/bin/cc");
          write_file(made / "root.sum", "sum");
        },
        [&](const fs::path&) { return whole; });
  };
  root_of("one", true);
  EXPECT_TRUE(fs::is_symlink(root_of("two", true) / "root/usr/bin/cc"));
  EXPECT_EQ(made_, 1U);
  fs::remove_all(folder_.path() / "two/toolchain");
  EXPECT_TRUE(fs::exists(root_of("two", false) / "root/usr/bin/gcc"));
  EXPECT_EQ(made_, 2U);
}

TEST(SharedName, IsOfWhatABaseIsAndNotOfWhereItLies) {
  const std::string name = shared_name("base", text_of_key("/srv/a"));
  EXPECT_EQ(name.size(), 64U);
  EXPECT_EQ(name, shared_name("base", text_of_key("/home/b/.cache")));
  EXPECT_NE(name, shared_name("base", text_of_key("/srv/a", "2")));
  EXPECT_NE(name, shared_name("vmlinux", text_of_key("/srv/a")));
  const std::string of = CacheKey().add("base", "stock 2").add("toolchain", "/opt/gcc").text();
  EXPECT_NE(shared_name("base", of),
            shared_name("base", CacheKey().add("base", "stock 2").add("toolchain", "/opt/g").text()));
  EXPECT_EQ(shared_name("base", CacheKey().add("base", "own 2").text()), "");
  EXPECT_EQ(shared_name("packages", text_of_key("/srv/a")), "");
}

// A server that takes the connection and says nothing.
class Silent {
 public:
  Silent() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(socket_, 8) != 0 ||
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
  }
  ~Silent() { close(socket_); }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  unsigned port_ = 0;
};

template <typename Call>
double seconds_of(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(SlowStore, AServerThatSaysNothingIsWaitedForOnce) {
  const Silent server;
  TeamStore store({server.url(), true, {}, "/nowhere", 1});
  EXPECT_NE(message_of<Error>([&] { store.list("results", "a"); }).find("no answer within"), std::string::npos);
  EXPECT_TRUE(store.away());
  EXPECT_LT(seconds_of([&] { EXPECT_TRUE(store.list("results", "a").is_null()); }), 0.5);
}

// A pipe is as a file whose host is gone: opening it doesn't come back.
TEST(SlowStore, AFolderThatHangsIsWaitedForOnce) {
  const TemporaryFolder folder;
  const std::string digest(64, 'a');
  fs::create_directories(folder.path() / "files");
  fs::create_directories(folder.path() / "results");
  write_file(folder.path() / "results/k", json({{"key", "k"}, {"files", {{"x", digest}}}}).dump());
  ASSERT_EQ(mkfifo((folder.path() / "files" / digest).c_str(), 0600), 0);
  TeamStore store({folder.path().string(), false, {}, {}, 1});
  const json list = store.list("results", "k");
  const double took = seconds_of([&] {
    EXPECT_NE(message_of<Error>([&] { store.fetch(list, "x", folder.path() / "to"); }).find("didn't answer within"),
              std::string::npos);
  });
  EXPECT_LT(took, 5);
  EXPECT_TRUE(store.away());
  EXPECT_FALSE(store.takes());
  store.keep("results", "other", json::object(), {});
  EXPECT_FALSE(fs::exists(folder.path() / "results/other"));
  close(open((folder.path() / "files" / digest).c_str(), O_WRONLY | O_NONBLOCK));  // lets the reader end
}

TEST(SharedStore, WhatItsOptionsMaySay) {
  EXPECT_NE(message_of<Error>([] { require_sound({"http://x", true, {}, {}, 20}); }), "");
  EXPECT_NE(message_of<Error>([] { require_sound({"x", false, "key", {}, 20}); }), "");
  EXPECT_NE(message_of<Error>([] { require_sound({"x", false, {}, {}, 0}); }), "");
  EXPECT_EQ(message_of<Error>([] { require_sound({"x", false, {}, {}, 20}); }), "");
}

}  // namespace
}  // namespace kpatch
