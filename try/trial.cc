// The guest is busybox, a script (guest-init.sh), the target's modules and the livepatch, in an initramfs of our own: the
// kernel is the only part of a system that is needed to try a livepatch. Its second serial port is QEMU's standard output,
// so that what the script tells is known when it happens:
//
//     @@ phase load
//     @@ function vmlinux meminfo_proc_show,1 1
//     @@ taint 102400
//
// and the first one is a file with the kernel's messages. /dev/kvm says nothing about whether KVM works: QEMU can die on a
// register that the host's hypervisor refuses, or stop on an instruction. So a boot is tried, once since this machine
// was started, and where it comes to nothing QEMU's own emulation does it.
#include "try/trial.h"

#include <fmt/format.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "arch/arch.h"
#include "klp/klp.h"
#include "support/archive.h"
#include "support/data.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"
#include "try/control.h"
#include "try/initramfs.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view here = "kpatch-try/";
constexpr std::string_view kernel_mark = "kpatch-try: phase ";
constexpr int kvm_seconds = 15;  // a boot takes two

// File systems that a disk may have, and what they ask modprobe for, which isn't there.
constexpr std::string_view file_systems = "crc32c_generic crc32c_intel libcrc32c ext4 xfs btrfs";

std::string contents_of(const fs::path& file) {
  std::string text = read_file(file);
  const auto bytes = std::as_bytes(std::span(text));
  if (!is_compressed(bytes)) return text;
  const std::vector<std::byte> plain = decompressed(bytes, file.string());
  return {reinterpret_cast<const char*>(plain.data()), plain.size()};
}

bool is_static(std::string& program) {
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, int (*)(Elf*)> elf(elf_memory(program.data(), program.size()), elf_end);
  size_t number = 0;
  if (!elf || elf_getphdrnum(elf.get(), &number) != 0) return false;
  for (size_t i = 0; i < number; ++i)
    if (GElf_Phdr header;
        gelf_getphdr(elf.get(), static_cast<int>(i), &header) == nullptr || header.p_type == PT_INTERP)
      return false;
  return number > 0;
}

std::string read_busybox() {
  const auto busybox = find_program("busybox");
  std::string program = busybox ? read_file(*busybox) : std::string();
  if (program.empty() || !is_static(program))
    throw Error("the guest needs a static busybox" + package_hint({"busybox"}));
  return program;
}

// A word for the shell.
std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

const Emulator& emulator_of(uint16_t machine) {
  const Emulator* emulator = find_emulator(machine);
  const Arch* arch = find_arch(machine);
  if (emulator == nullptr)
    throw Error(fmt::format("kernels for {} can't be booted here yet", arch ? arch->elf.name : "that machine"));
  if (!find_program(std::string(emulator->program)))
    throw Error(fmt::format("{} is missing: install QEMU's system emulation", emulator->program));
  return *emulator;
}

class Trial {
 public:
  Trial(const TrialInput& input, const fs::path& scratch, Executor& executor, Console& console)
      : input_(input),
        scratch_(scratch),
        executor_(executor),
        console_(console),
        module_(KlpElf::read(input.module)),
        emulator_(emulator_of(module_.header.e_machine)) {}

  TrialRecord run(const fs::path& remembered) {
    record_.accelerator = accelerator(remembered);
    pack(scratch_ / "initramfs", false);
    write_file(input_.console, "", Flush::no);
    begin("boot");
    const CommandResult result = boot(scratch_ / "initramfs", record_.accelerator, input_.timeout.count(),
                                      input_.console, input_.disk, [&](std::string_view line) { hear(line); });
    finish_phase();
    record_.timed_out = result.status == 124;
    part_console(read_file_if_any(input_.console), record_.phases);
    if (!record_.ended && !record_.timed_out && record_.phases.size() == 1 && record_.phases[0].console.empty())
      executor_.fail(fmt::format("{} boots nothing", emulator_.program), result);
    std::sort(record_.functions.begin(), record_.functions.end());
    return std::move(record_);
  }

 private:
  using Seconds = std::chrono::duration<double>;

  std::vector<std::string> patched_modules() const {
    std::set<std::string> names;
    for (const Replacement& function : replacements_of(module_, read_patch_tables(module_)))
      if (function.object != "vmlinux") names.insert(function.object);
    names.insert(input_.extra_modules.begin(), input_.extra_modules.end());
    return {names.begin(), names.end()};
  }

  // Of a module that the author asked for nobody may go on without.
  void check_extra_modules(const std::vector<TriedModule>& found) const {
    const fs::path folder = input_.kernel.modules;  // lib/modules/RELEASE, or kernel/ in it
    const std::string builtin =
        read_file_if_any(folder / "modules.builtin") + read_file_if_any(folder.parent_path() / "modules.builtin");
    for (const std::string& name : input_.extra_modules) {
      const auto is_it = [&](std::string_view other) { return other == module_name_of(name); };
      if (std::ranges::any_of(found, is_it, &TriedModule::name)) continue;
      const auto lines = lines_of(builtin);
      if (std::ranges::any_of(lines, [&](std::string_view line) {
            const auto path = module_path_of(line);
            return path && is_it(module_name_of(*path));
          }))
        continue;
      throw Error(fmt::format("--with {}: {} has no module of that name", name, input_.kernel.modules.string()));
    }
  }

  // The paths in the guest, as words.
  static std::string add_modules(Initramfs& image, const std::vector<TriedModule>& files) {
    std::string words;
    for (const TriedModule& module : files) {
      const std::string path = fmt::format("{}modules/{}.ko", here, module.name);
      image.add(path, contents_of(module.file));
      words += (words.empty() ? "/" : " /") + path;
    }
    return words;
  }

  void pack(const fs::path& file, bool probe) {
    Initramfs image(file);
    std::string plan = fmt::format("port={}\nprobe={}\nseconds={}\n", emulator_.second_port, probe ? "1" : "",
                                   std::max<int64_t>(10, input_.timeout.count() / 5));
    image.add(std::string(here) + "busybox", read_busybox());
    image.add(std::string(here) + "init", read_file(data_file("try/guest-init.sh")));
    if (!probe) {
      std::vector<TriedModule> modules = loading_order(input_.kernel.modules, patched_modules());
      check_extra_modules(modules);
      plan += fmt::format("modules={}\n", shell_word(add_modules(image, modules)));
      const std::string name = input_.module.filename().string();
      image.add(fmt::format("{}livepatch/{}", here, name), contents_of(input_.module));
      plan += fmt::format("ko={}\n", shell_word(fmt::format("/{}livepatch/{}", here, name)));
      add_test(image, plan, name);
    }
    image.add(std::string(here) + "plan", plan);
    image.finish(probe ? fs::path() : input_.initramfs);
  }

  void add_test(Initramfs& image, std::string& plan, const std::string& name) {
    std::string disk, test, control;
    if (!input_.disk.empty()) {
      std::vector<std::string> names;
      for (const std::string_view words : {emulator_.disk_modules, file_systems})
        for (const std::string_view word : words_of(words)) names.emplace_back(word);
      disk = add_modules(image, loading_order(input_.kernel.modules, names));
      if (disk.empty()) disk = " ";  // all of them are built in
    }
    if (!input_.test.empty()) {
      test = fmt::format("/{}test", here);
      image.add(test.substr(1), read_file(input_.test));
      KlpElf changed = module_;
      record_.has_control = redirect_nothing(changed);
      if (record_.has_control) {
        changed.write(scratch_ / "control.ko");
        control = fmt::format("/{}control/{}", here, name);
        image.add(control.substr(1), read_file(scratch_ / "control.ko"));
      }
    }
    plan +=
        fmt::format("disk_modules={}\ntest={}\ncontrol={}\n", shell_word(disk), shell_word(test), shell_word(control));
  }

  CommandResult boot(const fs::path& initramfs, const std::string& accelerator, int64_t seconds, const fs::path& log,
                     const fs::path& disk, const std::function<void(std::string_view)>& on_line) {
    Command command;
    command.outside = command.ours = true;  // it writes to what it is told alone, and may need /dev/kvm
    const std::string arguments =
        fmt::format("console={} rdinit=/{}init panic=-1 ignore_loglevel printk.time=0 net.ifnames=0 {}",
                    emulator_.console, here, emulator_.options);
    command.argv = {"timeout",
                    "-k",
                    "5",
                    std::to_string(seconds),
                    std::string(emulator_.program),
                    "-accel",
                    accelerator,
                    "-cpu",
                    accelerator == "kvm" ? "host" : std::string(emulator_.cpu),
                    "-m",
                    "1G",
                    "-display",
                    "none",
                    "-monitor",
                    "none",
                    "-no-reboot",
                    "-nic",
                    "none",
                    "-kernel",
                    input_.kernel.image.string(),
                    "-initrd",
                    initramfs.string(),
                    "-serial",
                    fmt::format("file:{}", log.string()),
                    "-serial",
                    "stdio",
                    "-append",
                    arguments};
    // What is written to it is gone afterwards.
    if (!disk.empty())
      for (const std::string& word :
           {std::string("-drive"), fmt::format("file={},if=virtio,snapshot=on", disk.string())})
        command.argv.push_back(word);
    return executor_.run(command, on_line);
  }

  std::string accelerator(const fs::path& remembered) {
    if (!input_.accelerator.empty()) return input_.accelerator;
    if (access("/dev/kvm", R_OK | W_OK) != 0) return "tcg";
    const std::string host(trimmed(read_file_if_any("/proc/sys/kernel/random/boot_id")));
    const std::string known(trimmed(remembered.empty() ? std::string() : read_file_if_any(remembered)));
    for (const char* one : {"kvm", "tcg"})
      if (known == fmt::format("{} {}", host, one)) return one;
    Console::Stage stage(console_, "does KVM work here?");
    pack(scratch_ / "probe", true);
    bool works = false;
    boot(scratch_ / "probe", "kvm", kvm_seconds, scratch_ / "probe-console", {},
         [&](std::string_view line) { works |= line.starts_with("@@ phase probe"); });
    stage.note(works ? "yes" : "no");
    const std::string result = works ? "kvm" : "tcg";
    if (!remembered.empty()) write_file(remembered, fmt::format("{} {}\n", host, result), Flush::no);
    return result;
  }

  void begin(const std::string& name) {
    finish_phase();
    record_.phases.push_back({name});
    start_ = std::chrono::steady_clock::now();
    stage_.emplace(console_,
                   name == "boot" ? fmt::format("boot {} ({})", input_.kernel.release, record_.accelerator) : name);
  }

  void finish_phase() {
    if (record_.phases.empty() || !stage_) return;
    TrialPhase& phase = record_.phases.back();
    phase.seconds = Seconds(std::chrono::steady_clock::now() - start_).count();
    if (phase.test) stage_->note(fmt::format("the test ended with {}", *phase.test));
    stage_.reset();
  }

  void hear(std::string_view line) {
    while (line.ends_with('\r')) line.remove_suffix(1);
    TrialPhase& phase = record_.phases.back();
    if (line.starts_with("| ")) {
      phase.output.emplace_back(line.substr(2));
      return;
    }
    if (!line.starts_with("@@ ")) return;
    line.remove_prefix(3);
    const auto word = line.substr(0, line.find(' '));
    const std::string rest(word.size() < line.size() ? line.substr(word.size() + 1) : std::string_view());
    if (word == "phase") begin(rest);
    if (word == "end") record_.ended = true;
    if (word == "release") record_.release = rest;
    if (word == "broken") phase.broken = rest;
    if (word == "module") record_.notes.push_back(rest);
    if (word == "test") phase.test = std::atoi(rest.c_str());
    if (word == "stopped") phase.stopped = std::atoi(rest.c_str());
    if (word == "taint") phase.taint = std::strtoull(rest.c_str(), nullptr, 10);
    if (word == "function") hear_function(rest);
  }

  // "vmlinux meminfo_proc_show,1 1": the last is 0 where the object isn't loaded, so that nothing of it is redirected.
  void hear_function(const std::string& text) {
    const auto words = words_of(text);
    if (words.size() < 2) return;
    const size_t comma = words[1].rfind(',');
    if (comma == std::string_view::npos) return;
    record_.functions.push_back({std::string(words[0]), std::string(words[1].substr(0, comma)),
                                 std::strtoull(std::string(words[1].substr(comma + 1)).c_str(), nullptr, 10)});
    if (words.size() < 3 || words[2] != "0") return;
    std::string note = fmt::format("{} isn't loaded here: what is patched of it wasn't tried", words[0]);
    if (std::ranges::find(record_.notes, note) == record_.notes.end()) record_.notes.push_back(std::move(note));
  }

  const TrialInput& input_;
  const fs::path& scratch_;
  Executor& executor_;
  Console& console_;
  const KlpElf module_;
  const Emulator& emulator_;
  TrialRecord record_;
  std::chrono::steady_clock::time_point start_;
  std::optional<Console::Stage> stage_;
};

}  // namespace

const TrialPhase* TrialRecord::phase(std::string_view name) const {
  const auto found = std::ranges::find(phases, name, &TrialPhase::name);
  return found == phases.end() ? nullptr : &*found;
}

void part_console(std::string_view log, std::vector<TrialPhase>& phases) {
  size_t at = 0;
  for (std::string_view line : lines_of(log)) {
    line = trimmed(line);
    if (const size_t mark = line.find(kernel_mark); mark != std::string_view::npos) {
      // What is said while the guest ends itself is no phase's.
      const auto named = std::ranges::find(phases, line.substr(mark + kernel_mark.size()), &TrialPhase::name);
      at = static_cast<size_t>(named - phases.begin());
    } else if (at < phases.size() && !line.empty()) {
      phases[at].console.emplace_back(line);
    }
  }
}

void require_trial_tools(uint16_t machine) {
  emulator_of(machine);
  read_busybox();
}

TrialRecord run_trial(const TrialInput& input, const fs::path& scratch, const fs::path& remembered, Executor& executor,
                      Console& console) {
  return Trial(input, scratch, executor, console).run(remembered);
}

}  // namespace kpatch
