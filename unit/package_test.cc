// Packages of livepatches: names, kernels, manifests, spec files.
#include "package/package.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/error.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

using Names = std::vector<std::string>;

TEST(PackageNames, FollowThePatch) {
  EXPECT_EQ(base_name("a/livepatch-test.patch"), "livepatch-test");
  EXPECT_EQ(base_name("fix-1.2.patch"), "fix-1.2");
  EXPECT_EQ(base_name("kpatch-fix.ko"), "fix");
  EXPECT_EQ(base_name("kpatch-.ko"), "kpatch-");
  EXPECT_EQ(base_name("kpatch-fix.patch"), "kpatch-fix");
  EXPECT_EQ(package_name("fix-1.2"), "kpatch-module-fix-1.2");
  EXPECT_EQ(packaged_name("fix-1.2"), "kpatch-fix-1-2");
  EXPECT_EQ(packaged_name(std::string(80, 'x')).size(), 55U);
  EXPECT_EQ(kernel_spelling("kpatch-fix-1"), "kpatch_fix_1");
  for (const char* bad : {"", "a b", "%{lua:x}", "a;b", "a\nb", "a'b", "a/b"})
    EXPECT_THROW(package_name(bad), Error) << bad;
}

TEST(PackageKernels, OfRpmHaveTheirArchitectureBehindThem) {
  EXPECT_EQ(rpm_kernel("3.10.0-229.el7", "x86_64"), "3.10.0-229.el7");
  EXPECT_EQ(rpm_kernel("3.10.0-229.el7.x86_64", "x86_64"), "3.10.0-229.el7");
  EXPECT_EQ(rpm_kernel("5.14.0-503.15.1.el9_5.aarch64", "aarch64"), "5.14.0-503.15.1.el9_5");
  EXPECT_EQ(rpm_kernel("6.8.5-301.fc40", "x86_64"), "6.8.5-301.fc40");
  for (const char* other : {"6.12.117+deb12-cloud-amd64", "6.1.0-56-cloud-amd64", "5.15.0-100-generic",
                            "6.4.0-150600.23-default", "6.12.1", "6.12.0-rc1", "6.18.44-fc-v669"})
    EXPECT_EQ(rpm_kernel(other, "x86_64"), "") << other;
  EXPECT_EQ(release_of("3.10.0-229.el7", "x86_64"), "3.10.0-229.el7.x86_64");
  EXPECT_EQ(release_of("3.10.0-229.el7.x86_64", "x86_64"), "3.10.0-229.el7.x86_64");
  EXPECT_EQ(release_of("6.12.117+deb12-cloud-amd64", "x86_64"), "6.12.117+deb12-cloud-amd64");
  for (const char* bad : {"", "..", "../x", ".6", "6 1", "6.1;x", "%{x}", "el7"})
    EXPECT_THROW(release_of(bad, "x86_64"), Error) << bad;
}

TEST(PackageKernels, ArchitecturesByBothNames) {
  EXPECT_EQ(package_arch("amd64")->rpm, "x86_64");
  EXPECT_EQ(package_arch("x86_64")->debian, "amd64");
  EXPECT_EQ(package_arch("arm64")->rpm, "aarch64");
  EXPECT_FALSE(package_arch("z80"));
  EXPECT_FALSE(package_arch(""));
}

TEST(PackageVersions, AreWhatEachFormatTakes) {
  const auto taken = [](PackageFormat format, const auto& require, const std::string& text) {
    try {
      require(format, "--set-version", text);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  for (const char* both : {"1", "2.1", "1~rc1", "1+b2", "20261128"})
    for (const PackageFormat format : {PackageFormat::deb, PackageFormat::rpm}) {
      EXPECT_TRUE(taken(format, require_version, both)) << both;
      EXPECT_TRUE(taken(format, require_release, both)) << both;
    }
  for (const char* none : {"", "-", "1-2", "%{x}", "1:2", "1 2", ".1", "~1"})
    for (const PackageFormat format : {PackageFormat::deb, PackageFormat::rpm})
      EXPECT_FALSE(taken(format, require_version, none)) << none;
  for (const char* rpm_alone : {"abc", "1_2"}) {
    EXPECT_TRUE(taken(PackageFormat::rpm, require_version, rpm_alone)) << rpm_alone;
    EXPECT_FALSE(taken(PackageFormat::deb, require_version, rpm_alone)) << rpm_alone;
  }
  EXPECT_TRUE(taken(PackageFormat::deb, require_release, "deb12"));
  EXPECT_FALSE(taken(PackageFormat::deb, require_release, "1_2"));
  EXPECT_TRUE(taken(PackageFormat::deb, require_version, "1..2"));
  EXPECT_FALSE(taken(PackageFormat::rpm, require_version, "1..2"));
}

Package package(std::vector<PackagedModule> modules) {
  return {"kpatch-module-a", "1", "1", "x86_64", "kpatch-package-builder", std::move(modules)};
}

TEST(PackageSpec, SourcesAreCountedOnce) {
  const Package two = package({{"d/a.patch", false, "kpatch-a", "6.1", {}},
                               {"d/b.ko", true, "b", "6.1", {}},
                               {"d/a.patch", false, "kpatch-a", "6.2", {}}});
  EXPECT_EQ(sources_of(two).size(), 2U);
  const std::string spec = spec_of(two);
  EXPECT_NE(spec.find("kpatch-build -a 6.1 -n kpatch-a -R -o 6.1 \"%{SOURCE0}\"\n"), std::string::npos) << spec;
  EXPECT_NE(spec.find("kpatch-build -a 6.2 -n kpatch-a -o 6.2 \"%{SOURCE0}\"\n"), std::string::npos) << spec;
  EXPECT_NE(spec.find("install -D -m 0644 \"%{SOURCE1}\" 6.1/b.ko\n"), std::string::npos) << spec;
  EXPECT_THROW(sources_of(package({{"d/a.patch", false, "x", "6.1", {}}, {"e/a.patch", false, "y", "6.1", {}}})),
               Error);
}

TEST(PackageSpec, TwoModulesCannotBeOneFile) {
  EXPECT_THROW(require_distinct(package(
                   {{"a-1.patch", false, "kpatch-a-1", "6.1", {}}, {"a_1.patch", false, "kpatch-a_1", "6.1", {}}})),
               Error);
  EXPECT_NO_THROW(require_distinct(
      package({{"a.patch", false, "kpatch-a", "6.1", {}}, {"a.patch", false, "kpatch-a", "6.2", {}}})));
}

TEST(PackageDeb, NamesAreDebians) {
  Package one = package({{"A_b.ko", true, "A_b", "6.1", {"CVE-2026-1"}}});
  one.name = "kpatch-module-A_b";
  EXPECT_EQ(deb_name(one), "kpatch-module-a-b_1-1_amd64.deb");
  const std::string control = deb_control(one, "A <a@b>", 1);
  EXPECT_NE(control.find("Depends: kpatch, linux-image-6.1\n"), std::string::npos);
  EXPECT_NE(control.find(" Fixes: CVE-2026-1\n"), std::string::npos);
}

TEST(Manifest, IsReadWithItsLines) {
  const TemporaryFolder folder;
  const auto packages = read_manifest(folder.write("m.yaml",
                                                   "packages:\n  - name: a\n    version: 1.10\n    patches:\n"
                                                   "      - filename: x.patch\n        kernels: [6.1, '6.2']\n"));
  ASSERT_EQ(packages.size(), 1U);
  EXPECT_EQ(packages[0].version, "1.10");
  EXPECT_EQ(packages[0].patches[0].kernels, (Names{"6.1", "6.2"}));
  EXPECT_EQ(packages[0].patches[0].file, folder.path() / "x.patch");
  EXPECT_EQ(packages[0].patches[0].line, 5);
}

}  // namespace
}  // namespace kpatch
