// Draws messages. Whatever people or bots wrote goes in as text, never as HTML.

const TAGS = {
  bold: 'strong', italic: 'em', underline: 'u', strikethrough: 's', code: 'code', pre: 'pre',
  blockquote: 'blockquote', expandable_blockquote: 'blockquote', spoiler: 'span', custom_emoji: 'span',
  text_link: 'a', url: 'a', bot_command: 'button', mention: 'span', hashtag: 'span',
};
const NAMES = {
  video: 'Video', animation: 'GIF', photo: 'Photo', sticker: 'Sticker', voice: 'Voice message', audio: 'Audio',
  video_note: 'Video message', document: 'File', location: 'Location', contact: 'Contact', poll: 'Poll', dice: 'Dice',
  new_chat_members: 'Someone joined', left_chat_member: 'Someone left', forum_topic_created: 'Topic opened',
};
const MEDIA = ['video', 'animation', 'photo', 'sticker', 'voice', 'audio', 'video_note', 'document'];

export function element(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

export function kindOf(data) {
  if (data.text !== undefined) return 'text';
  return Object.keys(NAMES).find((kind) => data[kind] !== undefined) || 'service';
}

export function summary(data) {
  const kind = kindOf(data);
  const words = data.text || data.caption || '';
  if (kind === 'text') return words;
  return words ? `${NAMES[kind] || 'Message'}: ${words}` : NAMES[kind] || 'Message';
}

export function nameOf(person) {
  if (!person) return '';
  return person.title || [person.first_name, person.last_name].filter(Boolean).join(' ') || `${person.id}`;
}

export function fileAddress(file) {
  return `/control/files/${encodeURIComponent(file.file_unique_id)}`;
}

// Entities come sorted, outer ones first; offsets count UTF-16 units as JavaScript does.
export function fillText(parent, text, entities, onCommand) {
  parent.replaceChildren();
  write(parent, text, 0, text.length, entities || [], onCommand);
}

function write(parent, text, start, end, entities, onCommand) {
  let at = start;
  for (let i = 0; i < entities.length; i += 1) {
    const entity = entities[i];
    const stop = Math.min(entity.offset + entity.length, end);
    if (entity.offset < at || stop <= at) continue;
    parent.append(text.slice(at, entity.offset));
    const node = entityNode(entity, text.slice(entity.offset, stop), onCommand);
    write(node, text, entity.offset, stop, entities.slice(i + 1).filter((inner) => inner.offset < stop), onCommand);
    parent.append(node);
    // A block ends its line by itself.
    at = /^(PRE|BLOCKQUOTE)$/.test(node.tagName) && text[stop] === '\n' ? stop + 1 : stop;
  }
  parent.append(text.slice(at, end));
}

function entityNode(entity, words, onCommand) {
  const node = element(TAGS[entity.type] || 'span', `entity ${entity.type}`);
  if (node.tagName === 'A') {
    const address = entity.url || words;
    if (/^https?:\/\//i.test(address)) {
      node.href = address;
      node.target = '_blank';
      node.rel = 'noopener noreferrer';
    }
  }
  if (entity.type === 'bot_command') {
    node.type = 'button';
    node.addEventListener('click', () => onCommand(words));
  }
  if (entity.type === 'spoiler') node.addEventListener('click', () => node.classList.add('seen'));
  return node;
}

function mediaNode(data) {
  const kind = MEDIA.find((name) => data[name] !== undefined);
  const file = kind === 'photo' ? data.photo[data.photo.length - 1] : data[kind];
  if (kind === 'photo') {
    const image = element('img');
    image.src = fileAddress(file);
    image.alt = data.caption || 'Photo';
    return image;
  }
  if ((kind === 'video' || kind === 'animation') && file.mime_type === 'video/mp4') return player(kind, file, data);
  if (kind === 'sticker') return element('span', 'sticker', file.emoji || '🙂');
  const link = element('a', 'file', file.file_name || NAMES[kind]);
  link.href = fileAddress(file);
  link.setAttribute('download', file.file_name || kind);
  return link;
}

function player(kind, file, data) {
  const video = element('video');
  const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
  video.muted = true;
  video.loop = true;
  video.autoplay = !still;
  video.playsInline = true;
  video.controls = kind === 'video';
  video.preload = 'metadata';
  if (file.width && file.height) {
    video.width = file.width;
    video.height = file.height;
  }
  if (file.thumbnail) video.poster = fileAddress(file.thumbnail);
  video.setAttribute('aria-label', data.caption ? `${NAMES[kind]}: ${data.caption}` : NAMES[kind]);
  video.src = fileAddress(file);
  return video;
}

function mediaKey(data) {
  const kind = MEDIA.find((name) => data[name] !== undefined);
  if (!kind) return '';
  const file = kind === 'photo' ? data.photo[data.photo.length - 1] : data[kind];
  return `${kind} ${file.file_unique_id}`;
}

function keyboardNode(message, actions) {
  const rows = message.reply_markup?.inline_keyboard || [];
  const keyboard = element('div', 'keyboard');
  for (const row of rows) {
    const line = element('div', 'line');
    for (const entry of row) {
      const button = element('button', '', entry.text);
      button.type = 'button';
      if (entry.callback_data !== undefined) {
        button.dataset.callback = entry.callback_data;
        button.addEventListener('click', () => actions.press(message, entry.callback_data, button));
      } else if (entry.url) {
        button.addEventListener('click', () => window.open(entry.url, '_blank', 'noopener,noreferrer'));
      } else if (entry.copy_text) {
        button.addEventListener('click', () => navigator.clipboard.writeText(entry.copy_text.text));
      }
      line.append(button);
    }
    keyboard.append(line);
  }
  return keyboard;
}

// Whoever uses the keyboard of a computer stays on the button that was pressed.
function updateKeyboard(old, data, actions) {
  const rows = JSON.stringify(data.reply_markup?.inline_keyboard || []);
  if (old.dataset.rows === rows) return;
  const place = [...old.querySelectorAll('button')].indexOf(document.activeElement);
  const keyboard = keyboardNode(data, actions);
  keyboard.dataset.rows = rows;
  old.replaceWith(keyboard);
  keyboard.querySelectorAll('button')[place]?.focus();
}

export function createMessage() {
  const row = element('li', 'row');
  const bubble = element('article', 'bubble');
  const reply = element('button', 'reply');
  reply.type = 'button';
  reply.append(element('strong'), element('span'));
  const foot = element('footer');
  foot.append(element('span', 'edited'), element('time'));
  bubble.append(element('p', 'sender'), reply, element('div', 'media'), element('p', 'text'), foot);
  const answer = element('button', 'answer', '↩');
  answer.type = 'button';
  answer.setAttribute('aria-label', 'Reply');
  answer.title = 'Reply';
  row.append(bubble, answer, element('p', 'reactions'), element('div', 'keyboard'));
  return row;
}

// Changes what differs and leaves the rest: a film that plays goes on playing while its buttons change.
export function updateMessage(row, entry, actions) {
  const data = entry.message;
  const find = (selector) => row.querySelector(selector);
  const kind = kindOf(data);
  const service = kind !== 'text' && !MEDIA.includes(kind);
  row.dataset.messageId = data.message_id;
  row.dataset.chatId = data.chat.id;
  row.dataset.kind = kind;
  row.dataset.from = entry.from_bot ? 'bot' : 'person';
  row.className = `row ${service ? 'service' : actions.isMine(data) ? 'mine' : 'theirs'}`;
  find('.sender').textContent = data.chat.type === 'private' || service ? '' : nameOf(data.from || data.sender_chat);
  const quote = data.reply_to_message;
  find('.reply').hidden = !quote;
  if (quote) {
    find('.reply strong').textContent = nameOf(quote.from || quote.sender_chat);
    find('.reply span').textContent = data.quote?.text || summary(quote);
    find('.reply').onclick = () => actions.show(quote.message_id);
  }
  const media = find('.media');
  if (media.dataset.key !== mediaKey(data)) {
    media.dataset.key = mediaKey(data);
    media.replaceChildren(...(media.dataset.key ? [mediaNode(data)] : []));
    media.querySelector('video')?.addEventListener('loadedmetadata', actions.grown);
    media.querySelector('img')?.addEventListener('load', actions.grown);
  }
  const words = service ? summary(data) : data.text ?? data.caption ?? '';
  fillText(find('.text'), words, data.entities || data.caption_entities, actions.say);
  find('.edited').textContent = data.edit_date ? 'edited' : '';
  const date = new Date(data.date * 1000);
  find('time').dateTime = date.toISOString();
  find('time').textContent = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  find('.reactions').textContent = entry.reactions.map((reaction) => reaction.emoji).join(' ');
  find('.answer').onclick = () => actions.answer(data);
  updateKeyboard(find('.keyboard'), data, actions);
}
