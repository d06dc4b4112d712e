// Copies of inline functions in a shipped binary, and those that a patch doesn't reach.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kbuild/inlined-copies.h"
#include "lookup/lookup.h"
#include "unit/object_files.h"

namespace kpatch {
namespace {

class InlinedCopies : public ObjectFiles {
 protected:
  void SetUp() override {
    ObjectFiles::SetUp();
    if (IsSkipped()) return;
    header_ = write("include/linux/h.h", "static inline int old(int x) { return x * 3; }\n" + rest_);
    patched_ = write("patched/h.h", "static inline int old(int x) { return x * 4; }\n" + rest_);
    unit("fs/a.c", "#include <linux/h.h>\nint a(int x) { return old(x); }");
    unit("fs/b.c", "#include <linux/h.h>\nint b(int x) { return x; }");
    unit("fs/c.c", "#include <linux/h.h>\nint c(int x) { return same(x); }");
    unit("fs/d.c", "static inline int old(int x) { return x; }\nint d(int x) { return old(x); }");
    unit("fs/e.c", "#include <linux/h.h>\nint e(int x) { return through(x); }");
    unit("fs/f.c", "#include <linux/h.h>\nint f(int x) { return old(x) + 1; }");
    run_in(folder_.path(), "ld -r -o vmlinux fs/a.o fs/b.o fs/c.o fs/d.o fs/e.o fs/f.o");
  }

  std::filesystem::path write(const std::string& name, const std::string& text) { return folder_.write(name, text); }

  void unit(const std::string& source, const std::string& text, const std::string& flags = "-g") {
    write(source, text);
    run_in(folder_.path(),
           "gcc -O2 -Iinclude " + flags + " -c -o " + source.substr(0, source.size() - 1) + "o " + source);
  }

  // "FUNCTION in UNIT, UNIT"
  Facts left(const std::set<std::string>& compiled) {
    const std::vector<HeaderChange> changes{{"include/linux/h.h", header_, patched_}};
    Facts facts;
    for (const Finding& f : inlined_copies(path("vmlinux"), changes, compiled)) {
      EXPECT_EQ(f.rule, "inlined-copy");
      EXPECT_EQ(f.severity, Severity::warning);
      EXPECT_EQ(f.location.source, "include/linux/h.h");
      const std::string message = message_of(f);
      facts.push_back(f.location.function + " " + message.substr(message.rfind('(')));
    }
    return facts;
  }

  const std::string rest_ =
      "static inline int same(int x) { return x * 5; }\nstatic inline int through(int x) { return old(x) - 1; }\n";
  std::filesystem::path header_, patched_;
};

TEST_F(InlinedCopies, AreKnownByDwarf) {
  EXPECT_EQ(inlined_functions(path("vmlinux"), {"old"}),
            (std::vector<InlinedFunction>{{"old", "fs/d.c", "fs/d.c"},
                                          {"old", "include/linux/h.h", "fs/a.c"},
                                          {"old", "include/linux/h.h", "fs/e.c"},
                                          {"old", "include/linux/h.h", "fs/f.c"}}));
  EXPECT_TRUE(inlined_functions(path("vmlinux"), {"b", "none"}).empty());
}

TEST_F(InlinedCopies, ThatStayAreToldOf) {
  EXPECT_EQ(left({"fs/a.c", "fs/e.c", "fs/f.c"}), Facts{});
  EXPECT_EQ(left({"fs/a.c"}), Facts{"old (in fs/e.c, fs/f.c)"});
  EXPECT_EQ(left({}), Facts{"old (in fs/a.c, fs/e.c, fs/f.c)"});
}

TEST_F(InlinedCopies, NothingIsKnownWithoutDwarf) {
  unit("fs/a.c", "#include <linux/h.h>\nint a(int x) { return old(x); }", "-g0");
  run_in(folder_.path(), "ld -r -o vmlinux fs/a.o");
  EXPECT_EQ(left({}), Facts{});
}

}  // namespace
}  // namespace kpatch
