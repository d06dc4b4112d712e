// Each was read in 5.10, 6.1, 6.12 and 7.2 (the file is named where 6.12 has it). A function that stores an address of
// what it is given, even in what its caller hands it for that, isn't here: of_find_matching_node_and_match(),
// kstrdup_const(). Netlink's parser leaves the address of a policy in its extended acknowledgement, as every function
// leaves that of its message there: both are gone before the system call returns.
#include "create-diff-object/readers.h"

#include <algorithm>
#include <array>

namespace kpatch {
namespace {

struct Reader {
  std::string_view name;
  uint8_t arguments;  // a bit for each that is only read; from the n-th on: 0xff << n
  bool returns = false;
};

constexpr uint8_t first = 1, second = 2, third = 4, fourth = 8, fifth = 16;
constexpr uint8_t from_first = 0xff, from_second = 0xfe, from_third = 0xfc;

constexpr auto readers = std::to_array<Reader>({
    {"__lookup_constant", first, true},  // fs/fs_parser.c
    {"__nla_parse", fifth},              // lib/nlattr.c
    {"__nla_validate", fourth},
    {"__seq_puts", second},           // fs/seq_file.c
    {"__sysfs_match_string", first},  // lib/string_helpers.c
    {"_copy_to_iter", first},         // lib/iov_iter.c
    {"_copy_to_user", second},        // lib/usercopy.c
    {"_dev_alert", from_second},      // drivers/base/core.c
    {"_dev_crit", from_second},
    {"_dev_emerg", from_second},
    {"_dev_err", from_second},
    {"_dev_info", from_second},
    {"_dev_notice", from_second},
    {"_dev_printk", from_third},
    {"_dev_warn", from_second},
    {"_printk", from_first},             // kernel/printk/printk.c
    {"acpi_match_device", first, true},  // drivers/acpi/bus.c
    {"acpi_match_device_ids", second},
    {"acpi_match_platform_list", first},  // drivers/acpi/utils.c
    {"bcmp", first | second},             // lib/string.c
    {"crc32_le", second},                 // lib/crc32.c
    {"dmi_check_system", first},          // drivers/firmware/dmi_scan.c
    {"dmi_first_match", first, true},
    {"hid_match_id", second, true},  // drivers/hid/hid-core.c
    {"i2c_match_id", first, true},   // drivers/i2c/i2c-core-base.c
    {"kmemdup", first},              // mm/util.c
    {"kmemdup_noprof", first},
    {"lookup_constant", first},  // fs/fs_parser.c
    {"match_string", first},     // lib/string_helpers.c
    {"match_token", second},     // lib/parser.c
    {"memcmp", first | second},
    {"memcpy", second},
    {"memmove", second},
    {"nla_put", fourth},               // lib/nlattr.c
    {"of_match_device", first, true},  // drivers/of/device.c
    {"of_match_node", first, true},    // drivers/of/base.c
    {"pci_match_id", first, true},     // drivers/pci/pci-driver.c
    {"print_hex_dump", from_first},    // lib/hexdump.c
    {"printk", from_first},
    {"regmap_multi_reg_write", second},  // drivers/base/regmap/regmap.c
    {"scnprintf", from_third},           // lib/vsprintf.c
    {"seq_printf", from_second},         // fs/seq_file.c
    {"seq_puts", second},
    {"seq_write", second},
    {"simple_read_from_buffer", fourth},     // fs/libfs.c
    {"sized_strscpy", second},               // lib/string.c
    {"snd_pci_quirk_lookup", second, true},  // sound/core/misc.c
    {"snd_pci_quirk_lookup_id", third, true},
    {"snprintf", from_third},
    {"soc_device_match", first, true},  // drivers/base/soc.c
    {"sprintf", from_second},
    {"strcasecmp", first | second},
    {"strcmp", first | second},
    {"strcpy", second},
    {"strlcpy", second},
    {"strlen", first},
    {"strncasecmp", first | second},
    {"strncmp", first | second},
    {"strncpy", second},
    {"strnlen", first},
    {"strscpy", second},
    {"sysfs_emit", from_second},  // fs/sysfs/file.c
    {"sysfs_emit_at", from_third},
    {"usb_match_id", second, true},  // drivers/usb/core/driver.c
    {"usb_match_one_id", second},
});
static_assert(std::ranges::is_sorted(readers, {}, &Reader::name));

}  // namespace

Handling what_becomes_of(std::string_view name, unsigned argument) {
  const auto found = std::ranges::lower_bound(readers, name, {}, &Reader::name);
  if (found == readers.end() || found->name != name || argument >= 8 || (found->arguments >> argument & 1U) == 0)
    return Handling::unknown;
  return found->returns ? Handling::returned : Handling::read;
}

}  // namespace kpatch
