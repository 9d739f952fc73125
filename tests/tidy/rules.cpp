#include "tests/tidy/rules.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <ostream>
#include <regex>
#include <set>

namespace troupe::tidy {

namespace {

/// The order of the house: a folder includes itself and what stands before it. docs/architecture.md says what each is for.
constexpr std::array<std::string_view, 15> layers = {"base",    "policy",  "kernels", "model",  "engine",
                                                     "schemas", "storage", "cluster", "actors", "remote",
                                                     "gateway", "clients", "bench",   "cli",    "tests"};

/// Where a library may be included: in files whose path begins with one of these.
struct Door {
  std::string_view header;
  std::vector<std::string_view> allowed;
};
const std::vector<Door> doors = {
    {"nlohmann/json.hpp",
     {"model/chat_template.cpp", "model/checkpoint.cpp", "model/config.cpp", "model/json.cpp", "model/model.cpp",
      "model/rope_config.cpp", "model/safetensors.cpp", "model/tokenizer_file.cpp", "remote/protocol_json.hpp", "cli/",
      "bench/", "tests/"}},
    {"curl/", {"remote/curl_http.cpp"}},
    {"nlohmann/json_fwd.hpp", {"model/json.hpp"}},
    {"pcre2", {"model/pre_tokenizer.cpp"}},
    {"openssl/", {"model/digest.cpp"}},
    {"xxh", {"engine/block_exchange.cpp"}},
    {"rocksdb/", {"storage/rocks_block_disk.cpp", "storage/rocks_log.hpp", "storage/rocks_store.cpp"}},
    {"gumbo", {"storage/html.cpp"}},
    {"ucp/", {"cluster/ucx_fabric"}},
    {"ucs/", {"cluster/ucx_fabric"}},
    {"nccl.h", {"cluster/nccl_fabric", "bench/nccl_plain.cpp"}},
    {"cuda_runtime",
     {"kernels/cuda/", "cluster/nccl_fabric", "bench/cuda_memory.cpp", "bench/nccl_plain.cpp", "tests/gpu/cublas.hpp",
      "tests/gpu/device_array.hpp"}},
    {"caf/", {"actors/", "cli/", "tests/actors/", "tests/sim/"}},
    {"capnp/", {"schemas/", "gateway/", "clients/", "tests/"}},
    {"kj/", {"cmake/kj_for_clang.hpp", "schemas/", "gateway/", "clients/", "tests/"}},
    {"toml++/", {"schemas/toml_reader.hpp"}},
    {"histedit.h", {"cli/line_editor.cpp"}},
    {"oneapi/", {"bench/onednn_matmul.cpp"}},
    {"dnnl", {}},
    {"CLI/", {"cli/", "tests/bits/main.cpp", "tests/cluster/chaos_main.cpp", "tests/layouts/main.cpp", "tests/sim/main.cpp"}},
    {"immintrin.h", {"kernels/", "bench/", "tests/kernels/"}},
    {"gtest/", {"tests/"}},
    {"tl/", {"base/result.hpp"}},
};

const std::set<std::string_view> top_files = {"README.md",      "LICENSE",           "NOTICE",
                                              "CMakeLists.txt", "CMakePresets.json", ".clang-format",
                                              ".clang-tidy",    ".gitignore",        ".gitattributes"};
const std::set<std::string_view> top_folders = {".ci",       "base",    "policy", "kernels", "model",   "engine",  "schemas",
                                                "storage",   "cluster", "actors", "remote",  "gateway", "clients", "cli",
                                                "portfolio", "deploy",  "bench",  "cmake",   "dev",     "tests",   "docs"};
/// Data and what it was made with keep their own ways.
bool is_ours(const File& file) {
  return file.folder() != "portfolio" && !file.path.starts_with("tests/fixtures/") &&
         !file.path.starts_with("tests/fuzz/corpus/") && !(file.path.starts_with("tests/regressions/") && !file.is_cpp());
}

int place_of(std::string_view folder) {
  return static_cast<int>(std::find(layers.begin(), layers.end(), folder) - layers.begin());
}

bool starts_with_any(std::string_view path, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view prefix) { return path.starts_with(prefix); });
}

/// Calls `visit(line, number)` for each line, without its line feed.
template <class Visit>
void each_line(std::string_view text, const Visit& visit) {
  int number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    visit(text.substr(begin, end - begin), ++number);
    begin = end + 1;
  }
}

/// Calls `visit(header, quoted, number)` for each include.
template <class Visit>
void each_include(const File& file, const Visit& visit) {
  if (!file.is_cpp()) return;
  each_line(file.text, [&](std::string_view line, int number) {
    const auto hash = line.find_first_not_of(" \t");
    if (hash == std::string_view::npos || line[hash] != '#') return;
    const auto word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string_view::npos || !line.substr(word).starts_with("include")) return;
    const auto begin = line.find_first_of("<\"", word);
    if (begin == std::string_view::npos) return;
    const auto end = line.find(line[begin] == '<' ? '>' : '"', begin + 1);
    if (end != std::string_view::npos) visit(line.substr(begin + 1, end - begin - 1), line[begin] == '"', number);
  });
}

/// Line by line, everything that `pattern` matches.
void find_all(const File& file, const std::regex& pattern, std::string_view advice, Findings& found) {
  each_line(file.text, [&](std::string_view line, int number) {
    std::match_results<std::string_view::const_iterator> match;
    if (std::regex_search(line.begin(), line.end(), match, pattern)) {
      found.push_back({file.path, number, "\"" + match.str() + "\": " + std::string(advice)});
    }
  });
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Finding& finding) {
  stream << finding.path << ':';
  if (finding.line > 0) stream << finding.line << ':';
  return stream << ' ' << finding.text;
}

Findings check_layers(const File& file) {
  Findings found;
  const int own = place_of(file.folder());
  if (own == static_cast<int>(layers.size())) return found;
  each_include(file, [&](std::string_view header, bool quoted, int number) {
    const std::string name(header);
    if (!quoted) {
      const bool standard = header.find_first_of("./") == std::string_view::npos;
      if (file.folder() == "policy" && !standard) {
        found.push_back({file.path, number, "policy/ includes " + name + "; it knows only base/ and the standard library"});
      }
      return;
    }
    const std::string folder(header.substr(0, std::min(header.find('/'), header.size())));
    const int other = place_of(folder);
    if (other == static_cast<int>(layers.size())) {
      found.push_back({file.path, number, "\"" + name + "\" is no path from the root; write \"folder/file.hpp\""});
    } else if (other > own || (file.folder() == "policy" && folder != "policy" && folder != "base")) {
      found.push_back({file.path, number,
                       std::string(file.folder()) + "/ includes " + name + ", but " + folder +
                           "/ stands after it in the order of the house; move the code, or pass a value in"});
    }
  });
  return found;
}

Findings check_doors(const File& file) {
  Findings found;
  each_include(file, [&](std::string_view header, bool /*quoted*/, int number) {
    for (const Door& door : doors) {
      if (!header.starts_with(door.header) || starts_with_any(file.path, door.allowed)) continue;
      std::string advice = "includes " + std::string(header) + ", whose door is";
      for (const std::string_view place : door.allowed) advice += " " + std::string(place);
      found.push_back({file.path, number, advice + "; call what is there, or argue for another door in tests/tidy/rules.cpp"});
      return;
    }
  });
  return found;
}

Findings check_mathematics(const File& file) {
  static const std::set<std::string_view> deciding = {"policy", "kernels", "model", "engine"};
  Findings found;
  if (!file.is_cpp() || !deciding.contains(file.folder())) return found;
  const std::string name = "(exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|tan|sinh|cosh|tanh|erf|cbrt|hypot|tgamma)";
  static const std::regex calls("(std::|[^\\w.:>]::|__builtin_)" + name + "[fl]?\\s*\\(|(^|[^\\w.:>])" + name + "f\\s*\\(");
  find_all(file, calls, "its last bits depend on the machine's libm; kernels/math.hpp has functions whose bits do not", found);
  return found;
}

Findings check_pragma_once(const File& file) {
  // .lanes.hpp is the text of operations, for whoever defines the lanes; it is compiled once for each instruction set.
  if (file.extension() != ".hpp" || file.path.ends_with(".lanes.hpp") || file.text.find("#pragma once\n") != std::string::npos)
    return {};
  return {{file.path, 1, "has no #pragma once; write it below the comment at the top"}};
}

Findings check_text(const File& file) {
  Findings found;
  if (!is_ours(file) || file.text.empty() || file.extension() == ".jsonl") return found;
  if (file.text.find('\t') != std::string::npos || file.text.find('\r') != std::string::npos ||
      file.text.find(" \n") != std::string::npos) {
    each_line(file.text, [&](std::string_view line, int number) {
      if (line.find('\t') != std::string_view::npos)
        found.push_back({file.path, number, "has a tab; use spaces, or \\t in a string"});
      if (line.find('\r') != std::string_view::npos)
        found.push_back({file.path, number, "has a carriage return; use line feeds alone"});
      if (line.ends_with(' ')) found.push_back({file.path, number, "ends in a space; dev/format removes it"});
    });
  }
  if (file.text.back() != '\n') found.push_back({file.path, 0, "does not end in a line feed; add one"});
  const bool counted = file.is_cpp() || file.folder() == "dev" || file.extension() == ".py" || file.extension() == ".cmake" ||
                       file.extension() == ".txt" || file.extension() == ".md";
  if (!counted || file.path == "LICENSE") return found;
  int lines = 0;
  each_line(file.text, [&](std::string_view line, int number) {
    lines = number;
    const auto characters =
        std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    const bool exempt = line.starts_with('|') || line.find("](") != std::string_view::npos;  // rows of tables, and links
    if (characters > columns_max && !(file.extension() == ".md" && exempt)) {
      found.push_back({file.path, number,
                       "has " + std::to_string(characters) + " characters, expected at most " + std::to_string(columns_max) +
                           "; break the line"});
    }
  });
  if (lines > lines_max) {
    found.push_back({file.path, lines,
                     "has " + std::to_string(lines) + " lines, expected at most " + std::to_string(lines_max) +
                         "; a noun is missing: split it"});
  }
  return found;
}

Findings check_reminders(const File& file) {
  Findings found;
  if (!is_ours(file)) return found;
  static const std::regex reminders(std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X|HA" + "CK)\\b");
  find_all(file, reminders, "do it now, or open an issue", found);
  return found;
}

Findings check_arithmetic_flags(const File& file) {
  Findings found;
  if (!is_ours(file) || file.extension() == ".md") return found;
  // Written in pieces, so that the rule does not find itself.
  static const std::regex flags(std::string("-f(fast") + "-math|associative" + "-math|reciprocal" + "-math|unsafe-math" +
                                "-optimizations)|-O" + "fast|-ffp-contract=" + "(fast|on)|optimize\\(\"[^\"]*fast" +
                                "-math|FP_CONTRACT" + " ON");
  find_all(file, flags, "it lets the compiler choose the bits; remove it", found);
  return found;
}

Findings check_commands(const File& file) {
  Findings found;
  const bool is_command = file.folder() == "dev" && !file.path.starts_with("dev/lib/");
  if (!is_command && file.path != ".ci/run") return found;
  if (!file.executable) found.push_back({file.path, 0, "cannot be run; chmod +x it"});
  if (!file.text.starts_with("#!/usr/bin/env ")) {
    found.push_back({file.path, 1, "does not begin with #!/usr/bin/env bash or #!/usr/bin/env python3"});
  } else if (file.text.starts_with("#!/usr/bin/env bash") && file.text.find("\nset -euo pipefail\n") == std::string::npos) {
    found.push_back({file.path, 1, "goes on after errors; add \"set -euo pipefail\""});
  }
  return found;
}

Findings check_tests_are_built(const File& file) {
  static const std::regex test(R"((^|\n)(TEST|TEST_F|TEST_P|TYPED_TEST)\()");
  static const std::regex place(
      R"(tests/(tidy|(base|policy|kernels|model|engine|schemas|storage|cluster|actors|remote|gateway|clients/cpp|bench|cli|layouts|sim|gpu)"
      R"(|regressions)/\w+)_test\.cpp)");
  if (file.extension() != ".cpp" || !std::regex_search(file.text, test) || std::regex_match(file.path, place)) return {};
  return {{file.path, 0, "has tests that tests/CMakeLists.txt does not build; call it tests/<folder>/<name>_test.cpp"}};
}

Findings check_top_level(const File& file) {
  const bool known = file.folder().empty() ? top_files.contains(file.path) : top_folders.contains(file.folder());
  if (known) return {};
  return {{file.path, 0,
           "is a stranger at the top of the repository; give it a place in the house, or add it to tests/tidy/rules.cpp"}};
}

Findings check_folders_are_described(std::span<const File> files) {
  const auto page =
      std::find_if(files.begin(), files.end(), [](const File& file) { return file.path == "docs/architecture.md"; });
  if (page == files.end()) return {{"docs/architecture.md", 0, "is missing; it says what each folder is for"}};
  std::set<std::string> folders;
  for (const File& file : files) {
    if (!file.folder().empty() && !file.folder().starts_with('.')) folders.insert(std::string(file.folder()));
  }
  Findings found;
  for (const std::string& folder : folders) {
    if (page->text.find("`" + folder + "/`") == std::string::npos) {
      found.push_back({page->path, 0, "says nothing about `" + folder + "/`; add a line to its list of folders"});
    }
  }
  return found;
}

Findings check_links(std::span<const File> files) {
  std::set<std::string> there;
  for (const File& file : files) {
    namespace fs = std::filesystem;
    for (fs::path path = file.path; !path.empty(); path = path.parent_path()) there.insert(path.generic_string());
  }
  static const std::regex link(
      R"(\]\(([^)#\s]+)(#[^)\s]*)?\)|`((\w+/)+[\w.-]+\.(hpp|cpp|md|py|json|jsonl|txt|cmake)|dev/\w+)[ `])");
  Findings found;
  for (const File& file : files) {
    if (file.extension() != ".md" || file.folder() == "portfolio") continue;
    each_line(file.text, [&](std::string_view line, int number) {
      for (std::regex_iterator<std::string_view::const_iterator> match(line.begin(), line.end(), link), end; match != end;
           ++match) {
        const bool named = (*match)[3].matched;  // `kernels/math.hpp`, from the root
        std::string target = (*match)[named ? 3 : 1].str();
        if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
        if (!named) target = (std::filesystem::path(file.path).parent_path() / target).lexically_normal().generic_string();
        if (target.ends_with('/')) target.pop_back();
        if (!there.contains(target))
          found.push_back({file.path, number, "leads to " + target + ", which is not there; correct the name"});
      }
    });
  }
  return found;
}

Findings check_size(std::span<const File> files) {
  std::uintmax_t bytes = 0;
  const File* largest = nullptr;
  for (const File& file : files) {
    bytes += file.bytes;
    if (largest == nullptr || file.bytes > largest->bytes) largest = &file;
  }
  if (bytes <= tree_bytes_max) return {};
  return {{largest->path, 0,
           "is the largest file of a tree of " + std::to_string(bytes) + " bytes, expected at most " +
               std::to_string(tree_bytes_max) + "; leave out what can be made"}};
}

}  // namespace troupe::tidy
