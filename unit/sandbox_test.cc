// What commands of a build can't do.
#include "kpatch-build/sandbox.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "support/error.h"
#include "support/files.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

class Sandbox : public testing::Test {
 protected:
  Sandbox() : executor_(folder_.path() / "log") {
    for (const char* name : {"cache", "home", "elsewhere"}) fs::create_directories(folder_.path() / name);
    fs::create_directory_symlink(folder_.path() / "elsewhere", cache() / "base");
  }
  void SetUp() override {
    const auto none = enter_sandbox(executor_, writable_folders(cache()), cache());
    if (none) SKIP_MACHINE(none->why + ": " + none->advice);
  }
  fs::path cache() const { return folder_.path() / "cache"; }
  CommandResult shell(const std::string& script, bool outside = false) {
    return executor_.run({{"sh", "-c", script}, folder_.path() / "home", {}, outside});
  }

  TemporaryFolder folder_;
  Executor executor_;
};

TEST_F(Sandbox, OnlyTheCacheIsWritten) {
  for (const char* target :
       {"pwned", "../pwned", "/tmp/kpatch-pwned", "/var/tmp/kpatch-pwned", "/dev/shm/kpatch-pwned"})
    EXPECT_FALSE(shell(std::string("echo x >") + target).ok()) << target;
  EXPECT_TRUE(fs::is_empty(folder_.path() / "home"));
  for (const char* target : {"../cache/x", "../cache/base/y", "/dev/null", "$(mktemp)"})
    EXPECT_TRUE(shell(std::string("echo x >") + target).ok()) << target;
  EXPECT_EQ(read_file(folder_.path() / "elsewhere/y"), "x\n");
  EXPECT_TRUE(shell("echo x >pwned", true).ok());
}

// As root, too.
TEST_F(Sandbox, NothingOfItIsUndone) {
  EXPECT_FALSE(shell("mount -o remount,rw /").ok());
  EXPECT_FALSE(shell(": >>/proc/sys/kernel/hostname").ok());
  EXPECT_FALSE(shell("kill -0 " + std::to_string(getpid())).ok());
}

TEST_F(Sandbox, NothingIsReachedOverANetwork) {
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(server, 5), 0);
  ASSERT_EQ(getsockname(server, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string connects = "bash -c ': </dev/tcp/127.0.0.1/" + std::to_string(ntohs(address.sin_port)) + "'";
  EXPECT_FALSE(shell(connects).ok());
  EXPECT_TRUE(shell(connects, true).ok());
  close(server);
}

TEST_F(Sandbox, ACommandIsAsItWasOutside) {
  EXPECT_EQ(shell("exit 7").status, 7);
  EXPECT_EQ(shell("kill -9 $$").status, 128 + 9);
  EXPECT_EQ(shell("pwd").output, (fs::canonical(folder_.path()) / "home").string() + "\n");
}

// In a root a command sees that system, the cache and what is given to it, and nothing else of this machine.
TEST_F(Sandbox, ARootIsAnotherSystem) {
  const auto busybox = find_program("busybox");
  if (!busybox) SKIP_PACKAGE("busybox is missing");
  const fs::path root = folder_.path() / "elsewhere/root";
  fs::create_directories(root / "usr/bin");
  fs::create_directory_symlink("usr/bin", root / "bin");
  fs::copy_file(*busybox, root / "usr/bin/busybox");
  for (const char* name : {"sh", "ls", "true", "cat"}) fs::create_symlink("busybox", root / "usr/bin" / name);
  folder_.write("home/secret", "");
  const fs::path given = folder_.write("given/file", "given\n");
  setenv("LD_PRELOAD", "", 1);
  // Also below the root's own folders: where this program is installed.
  fs::create_directories(root / "usr/share/doc");
  ASSERT_TRUE(fs::is_directory("/usr/include/linux"));
  enter_root(executor_, root, writable_folders(cache()), {given.parent_path(), "/usr/include/linux"}, cache());
  const auto in_root = [&](const std::string& script) { return executor_.run({{"sh", "-c", script}, cache(), {}}); };
  EXPECT_EQ(in_root("echo /usr/bin/*").output, "/usr/bin/busybox /usr/bin/cat /usr/bin/ls /usr/bin/sh /usr/bin/true\n");
  EXPECT_EQ(in_root("cat " + given.string()).output, "given\n");
  EXPECT_FALSE(in_root("echo x >" + given.string()).ok());
  EXPECT_EQ(in_root("ls /usr; ls /usr/include").output, "bin\ninclude\nshare\nlinux\n");
  EXPECT_TRUE(in_root("cat /usr/include/linux/types.h").ok());
  EXPECT_FALSE(in_root("ls " + (folder_.path() / "home").string()).ok());
  EXPECT_FALSE(in_root("echo x >/usr/bin/gcc").ok());
  EXPECT_TRUE(in_root("echo x >made; echo x >base/also; echo x >$TMPDIR/y").ok());
  EXPECT_EQ(read_file(cache() / "made"), "x\n");
  EXPECT_NE(in_root("echo ${LD_PRELOAD-unset}").output.find("unset"), std::string::npos);
  unsetenv("LD_PRELOAD");
  // A program of ours is run here, confined as before.
  Command ours{{"sh", "-c", "ls " + (folder_.path() / "home").string()}, {}, {}};
  ours.ours = true;
  EXPECT_EQ(executor_.run(ours).output, "secret\n");
  EXPECT_FALSE(shell("echo x >../home/pwned").ok());
  const fs::path empty = folder_.path() / "given";
  EXPECT_NE(message_of<Error>([&] { enter_root(executor_, empty, {cache()}, {}, cache()); }).find("can't be entered"),
            std::string::npos);
}

TEST(NoSandbox, IsToldWithItsReason) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder.path().c_str(), 1);
  auto none = enter_sandbox(executor, {folder.path()}, folder.path());
  EXPECT_EQ(none.value().why, "bwrap isn't installed");
  const fs::path refuses = folder.write("bwrap", "#!/bin/sh\necho 'bwrap: No permissions' >&2\nexit 1\n");
  fs::permissions(refuses, fs::perms::owner_all);
  none = enter_sandbox(executor, {folder.path()}, folder.path());
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(none.value().why, "bwrap can't make namespaces here");
  EXPECT_EQ(none->advice, "bwrap: No permissions");
  EXPECT_EQ(executor.run({{"sh", "-c", "echo $TMPDIR-"}, {}, {}}).output.find(folder.path().string() + "/tmp"),
            std::string::npos);
}

}  // namespace
}  // namespace kpatch
