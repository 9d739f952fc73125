#include "storage/corpus_documents.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "storage/big_endian.hpp"

namespace troupe::storage {

namespace {

// The catalogue: format, the corpus's version, and of each document its name, its content hash and how many sections it has.
constexpr char format_version = 1;
constexpr std::size_t hash_bytes_max = 64;

void append_field(std::string& bytes, std::string_view field) {
  append_big_endian(bytes, static_cast<std::uint32_t>(field.size()));
  bytes += field;
}

std::optional<std::uint32_t> take_number(std::string_view& bytes) {
  const auto number = read_big_endian<std::uint32_t>(bytes.substr(0, sizeof(std::uint32_t)));
  if (number) bytes.remove_prefix(sizeof(*number));
  return number;
}

std::optional<std::string> take_field(std::string_view& bytes, std::size_t bytes_max) {
  const auto size = take_number(bytes);
  if (!size || *size > bytes_max || *size > bytes.size()) return std::nullopt;
  std::string field(bytes.substr(0, *size));
  bytes.remove_prefix(*size);
  return field;
}

/// By the keys of the sections.
std::vector<Document> documents_by_key(std::vector<Section> sections) {
  std::vector<Document> documents;
  for (Section& section : sections) {
    std::string name = section.key.substr(0, section.key.find('#'));
    if (documents.empty() || documents.back().name != name) documents.push_back({std::move(name), "", {}});
    documents.back().sections.push_back(std::move(section));
  }
  return documents;
}

}  // namespace

Result<std::vector<Document>> load_documents(const Store& store) {
  TROUPE_TRY(auto corpus, load_corpus(store));
  if (!corpus) return std::vector<Document>();
  TROUPE_TRY(const auto record, store.get(Column::corpus, Corpus::catalogue_key));
  std::string_view bytes = record ? std::string_view(*record) : std::string_view();
  if (bytes.empty() || bytes.front() != format_version) return documents_by_key(std::move(corpus->sections));
  bytes.remove_prefix(1);
  const auto version = take_field(bytes, corpus->version.size());
  if (!version || *version != corpus->version) return documents_by_key(std::move(corpus->sections));
  std::vector<Document> documents;
  auto next = corpus->sections.begin();
  while (!bytes.empty()) {
    auto name = take_field(bytes, Corpus::name_bytes_max);
    auto hash = name ? take_field(bytes, hash_bytes_max) : std::nullopt;
    const auto count = hash ? take_number(bytes) : std::nullopt;
    if (!count || *count > static_cast<std::size_t>(corpus->sections.end() - next)) {
      return Error{ErrorCode::corrupt, "the catalogue of the stored corpus does not fit its sections; put the corpus again"};
    }
    Document document{std::move(*name), std::move(*hash), {}};
    document.sections.assign(std::make_move_iterator(next), std::make_move_iterator(next + *count));
    next += *count;
    documents.push_back(std::move(document));
  }
  if (next != corpus->sections.end()) {
    return Error{ErrorCode::corrupt, "the catalogue of the stored corpus does not have all its sections; put the corpus again"};
  }
  return documents;
}

Result<std::vector<WriteBatch>> put_documents(const std::vector<Document>& documents) {
  std::vector<Section> sections;
  for (const Document& document : documents) {
    sections.insert(sections.end(), document.sections.begin(), document.sections.end());
  }
  TROUPE_TRY(const auto corpus, make_corpus(std::move(sections)));
  std::string catalogue(1, format_version);
  append_field(catalogue, corpus.version);
  for (const Document& document : documents) {
    append_field(catalogue, document.name);
    append_field(catalogue, document.content_hash);
    append_big_endian(catalogue, static_cast<std::uint32_t>(document.sections.size()));
  }
  auto batches = put_corpus(corpus);
  batches.push_back({{{Column::corpus, std::string(Corpus::catalogue_key), std::move(catalogue)}}, std::nullopt});
  return batches;
}

}  // namespace troupe::storage
