/** The words of which sellers, gigs, reviews and past work are made. */

export interface Trade {
  readonly category: string;
  readonly headlines: readonly string[];
  readonly titles: readonly string[];
  readonly pitch: readonly string[];
  readonly skills: readonly string[];
  /** What a buyer may type into search. */
  readonly keywords: string;
  readonly includes: readonly string[];
  /** What a seller of this trade does for a brand. */
  readonly jobs: readonly string[];
  /** The price of the smallest package, in cents. */
  readonly priceCents: number;
}

export const TRADES: readonly Trade[] = [
  {
    category: 'Logo & brand identity',
    headlines: [
      'Brand identity designer',
      'Logo designer who sketches first',
      'Identity systems for young companies',
    ],
    titles: [
      'I will design a timeless logo for your brand',
      'I will build a complete brand identity',
      'I will redraw your old logo as a modern mark',
      'I will design a minimalist logo with guidelines',
    ],
    pitch: [
      'A logo has a fraction of a second to be recognised. I start with paper, not with effects, and show you three directions that differ in idea rather than in colour.',
      'You get vector files, a one-page guide that your printer and your developer both understand, and the rights to all of it.',
    ],
    skills: ['Logo design', 'Typography', 'Brand guidelines', 'Illustrator'],
    keywords: 'brand identity mark logotype branding vector',
    includes: ['Vector file', 'Transparent PNG', 'Style guide', 'Social media kit', 'Source file'],
    jobs: [
      'Refreshed word mark and its rules for small sizes',
      'Icon family for the product pages',
      'Identity of an annual conference, from badge to stage',
      'Packaging labels for a limited edition',
      'Brand guidelines for partners in nine countries',
    ],
    priceCents: 9_500,
  },
  {
    category: 'Video editing',
    headlines: [
      'Video editor for stories with a pulse',
      'Commercial editor and colourist',
      'I cut films people finish',
    ],
    titles: [
      'I will edit your video into a story worth finishing',
      'I will cut a launch film for your product',
      'I will edit short vertical videos that hold attention',
      'I will colour grade and master your film',
    ],
    pitch: [
      'Good editing is invisible: nobody notices the cut, everybody remembers the point. Send me your raw footage and a sentence about who should care.',
      'First cut within two days, notes by time code, final master in every ratio you publish in.',
    ],
    skills: ['Premiere Pro', 'DaVinci Resolve', 'Sound design', 'Colour grading'],
    keywords: 'film clip reels cut montage youtube footage',
    includes: ['Colour grading', 'Licensed music', 'Subtitles', 'Motion titles', 'Vertical version'],
    jobs: [
      'Launch film and three cut-downs',
      'Weekly product clips, forty in all',
      'Recruiting film shot in five offices',
      'Trailer for a documentary series',
      'Event film, delivered the same night',
    ],
    priceCents: 14_000,
  },
  {
    category: 'Web development',
    headlines: [
      'Full-stack developer, fast and accessible sites',
      'TypeScript engineer',
      'I make slow sites quick',
    ],
    titles: [
      'I will build a fast and accessible website',
      'I will develop your web shop from design to launch',
      'I will fix the speed of your website',
      'I will build an internal tool your team enjoys',
    ],
    pitch: [
      'Pages that load before the visitor wonders, work with a keyboard, and cost little to keep. I write down every decision so that the next developer thanks you.',
      'We agree on what done means first. You see progress every second day at an address of your own.',
    ],
    skills: ['TypeScript', 'Accessibility', 'PostgreSQL', 'Performance'],
    keywords: 'website developer frontend backend javascript react shop',
    includes: ['Responsive layout', 'Content editing', 'Deployment', 'Accessibility audit', 'Analytics'],
    jobs: [
      'Campaign site, live in eleven languages',
      'Cut the load time of the shop by half',
      'Component library used by six teams',
      'Booking flow, rebuilt to work with a keyboard',
      'Internal dashboard for the support desk',
    ],
    priceCents: 32_000,
  },
  {
    category: 'Illustration',
    headlines: ['Editorial illustrator', 'Illustrator of warm, odd little worlds', 'Ink and pixels'],
    titles: [
      'I will draw an editorial illustration for your article',
      'I will illustrate your children’s book',
      'I will design a set of spot illustrations',
      'I will draw your product as a cutaway',
    ],
    pitch: [
      'I read the text before I draw. You get two sketches with different ideas, then one picture that says what the words could not.',
      'All files layered, in print resolution, with the rights you need and no small print.',
    ],
    skills: ['Procreate', 'Ink', 'Editorial', 'Character design'],
    keywords: 'drawing artwork picture book cover cartoon',
    includes: ['Two sketches', 'Print resolution', 'Layered file', 'Commercial rights', 'Background scene'],
    jobs: [
      'Cover and six spots for the yearly report',
      'Mural drawn for the entrance hall',
      'Stickers that went out with a million parcels',
      'Illustrated guide for new customers',
      'Character set for the help pages',
    ],
    priceCents: 11_000,
  },
  {
    category: 'Copywriting',
    headlines: ['Copywriter, plain words that sell', 'UX writer and editor', 'I take words out'],
    titles: [
      'I will write website copy people actually read',
      'I will write product descriptions that sell',
      'I will edit your texts until they are clear',
      'I will write a welcome series of emails',
    ],
    pitch: [
      'Most copy is written to be approved. Mine is written to be read: short sentences, one thought each, nothing a customer would not say aloud.',
      'I interview you for half an hour, then send a first draft within three days.',
    ],
    skills: ['UX writing', 'Email', 'Editing', 'Tone of voice'],
    keywords: 'text content writer blog article seo words',
    includes: ['Topic research', 'Two rounds of edits', 'Headline variants', 'Tone guide', 'Meta texts'],
    jobs: [
      'Tone of voice guide, twenty pages',
      'Names and texts of the onboarding',
      'Product pages for the spring range',
      'Newsletter, every second week for a year',
      'Error messages, rewritten for people',
    ],
    priceCents: 7_000,
  },
  {
    category: 'Voice over',
    headlines: [
      'Voice actor, warm and unhurried',
      'Narrator for film and audio books',
      'Bilingual voice talent',
    ],
    titles: [
      'I will record a warm voice over for your film',
      'I will narrate your audio book',
      'I will be the voice of your phone system',
      'I will record a radio spot within a day',
    ],
    pitch: [
      'Recorded in a treated booth, cleaned and levelled, with two readings that differ in mood so that you can choose with your ears.',
      'Small corrections of the script are free; I would rather get it right.',
    ],
    skills: ['Narration', 'Commercials', 'Audio books', 'Sound editing'],
    keywords: 'voiceover narrator speaker audio recording spot',
    includes: ['HD audio', 'Two takes', 'Background music', 'Timed to picture', 'Broadcast rights'],
    jobs: [
      'Voice of the safety film on all flights',
      'Radio campaign in two languages',
      'Audio guide, forty stops',
      'Narration of the brand film',
      'Announcements in the app',
    ],
    priceCents: 5_500,
  },
  {
    category: 'Translation',
    headlines: [
      'Translator, software and marketing',
      'Localisation with a native ear',
      'Legal and technical translation',
    ],
    titles: [
      'I will translate your website like a native',
      'I will localise your app for a new market',
      'I will proofread your translation',
      'I will subtitle your film',
    ],
    pitch: [
      'A translation is good when nobody asks who translated it. I keep a glossary for you, so that next year’s texts speak like this year’s.',
      'Two pairs of eyes on every page, and questions before assumptions.',
    ],
    skills: ['Localisation', 'Subtitling', 'Terminology', 'Proofreading'],
    keywords: 'translate language localization german spanish french japanese',
    includes: ['Proofreading', 'Glossary', 'Formatting kept', 'Second reader', 'Subtitles'],
    jobs: [
      'App and store texts into three languages',
      'Season catalogue, four hundred pages',
      'Subtitles for a series of thirty films',
      'Glossary for the support team',
      'Terms and privacy pages, checked by a lawyer',
    ],
    priceCents: 4_500,
  },
  {
    category: 'Music & sound',
    headlines: [
      'Composer for film and games',
      'Producer and mixing engineer',
      'Sound designer, small sounds with care',
    ],
    titles: [
      'I will compose original music for your film',
      'I will mix and master your song',
      'I will design the sounds of your app',
      'I will write a short jingle people hum',
    ],
    pitch: [
      'Music that knows when to be quiet. I write to picture, deliver stems, and stay until the mix is right on a phone as well as in a cinema.',
      'Everything is original and licensed to you alone.',
    ],
    skills: ['Composition', 'Mixing', 'Sound design', 'Foley'],
    keywords: 'song composer producer audio jingle soundtrack',
    includes: ['Stems', 'Mastering', 'Unlimited use', 'Loop version', 'Project file'],
    jobs: [
      'Sonic logo and its variations',
      'Score of a ninety-second film',
      'Sounds of the payment terminal',
      'Playlist intros, a new one each week',
      'Mix for a live session',
    ],
    priceCents: 12_500,
  },
  {
    category: 'Social media',
    headlines: [
      'Social media strategist',
      'Community manager with a sense of humour',
      'Paid social, honestly measured',
    ],
    titles: [
      'I will plan a month of social media for you',
      'I will design social posts in your style',
      'I will run and report your paid campaign',
      'I will answer your community for a week',
    ],
    pitch: [
      'Fewer posts, better ones. I look at what your audience already repeats, and give it more of that.',
      'A calendar you can edit, posts ready to publish, and numbers without glitter.',
    ],
    skills: ['Content planning', 'Community', 'Paid social', 'Reporting'],
    keywords: 'instagram tiktok marketing posts campaign community',
    includes: ['Content calendar', 'Ready posts', 'Hashtag research', 'Monthly report', 'Community replies'],
    jobs: [
      'Always-on social for two seasons',
      'Launch week, twelve posts a day',
      'Creator programme with sixty people',
      'Answers to the community, nights and weekends',
      'Test of forty ad variants',
    ],
    priceCents: 8_500,
  },
  {
    category: 'Data & analytics',
    headlines: [
      'Data analyst, questions before charts',
      'Analytics engineer',
      'Dashboards people open twice',
    ],
    titles: [
      'I will find out why your numbers moved',
      'I will build a dashboard you will open twice',
      'I will clean and model your data',
      'I will design and read your experiment',
    ],
    pitch: [
      'Tell me the decision, not the chart. I find the three numbers that would change it, and say how sure I am.',
      'Every query documented, every definition agreed, nothing that only I can run.',
    ],
    skills: ['SQL', 'Experiment design', 'dbt', 'Visualisation'],
    keywords: 'data dashboard excel report statistics sql python',
    includes: [
      'Cleaned data',
      'Interactive dashboard',
      'Written summary',
      'Documented queries',
      'Handover call',
    ],
    jobs: [
      'Forecast of orders by the hour',
      'Definitions and dashboards for one set of numbers',
      'Reading of two hundred experiments',
      'Churn study with recommendations',
      'Weekly report that replaced six others',
    ],
    priceCents: 18_000,
  },
  {
    category: '3D & animation',
    headlines: ['3D artist, products and packaging', 'Motion designer', 'Animator of explainers'],
    titles: [
      'I will render your product as if it were in front of you',
      'I will animate your explainer video',
      'I will animate your logo',
      'I will model your product for the web',
    ],
    pitch: [
      'Light first, then material, then movement. You approve a grey model before anything shines.',
      'Rendered large enough for a billboard, delivered small enough for a phone.',
    ],
    skills: ['Blender', 'Cinema 4D', 'After Effects', 'Product rendering'],
    keywords: 'animation motion render modeling explainer product',
    includes: ['HD render', '3D model', 'Background scene', 'Sound effects', 'Source file'],
    jobs: [
      'Product renders for the web shop',
      'Explainer, ninety seconds, six languages',
      'Opening animation of the keynote',
      'Interactive model for the product page',
      'Animated icons of the app',
    ],
    priceCents: 16_500,
  },
  {
    category: 'Photography',
    headlines: [
      'Product photographer',
      'Food photographer with a patient assistant',
      'Retoucher, nothing plastic',
    ],
    titles: [
      'I will photograph your product on white and on set',
      'I will retouch your portraits with restraint',
      'I will shoot your menu so that it smells',
      'I will edit a hundred photos in your style',
    ],
    pitch: [
      'Daylight where possible, honest colour always. You send the product, I send a contact sheet the next morning.',
      'Retouching that keeps the skin, the crumbs and the scratches that make it real.',
    ],
    skills: ['Product', 'Retouching', 'Food', 'Studio light'],
    keywords: 'photo photographer retouch picture studio editing',
    includes: ['High resolution', 'White background', 'Styled set', 'Retouching', 'All rights'],
    jobs: [
      'Still lifes for the winter catalogue',
      'Portraits of eighty employees',
      'Menu boards for all restaurants',
      'Retouching of the yearly campaign',
      'Behind the scenes of a shoot',
    ],
    priceCents: 10_500,
  },
];

/** Names by the country where they are common, with cities of it. */
export const PLACES: readonly {
  readonly country: string;
  readonly cities: readonly string[];
  readonly given: readonly string[];
  readonly family: readonly string[];
  readonly language: string;
}[] = [
  {
    country: 'Germany',
    cities: ['Berlin', 'Leipzig', 'Hamburg', 'Köln'],
    given: ['Anna', 'Jonas', 'Mia', 'Felix', 'Lena', 'Jürgen'],
    family: ['Schmidt', 'Weber', 'Krüger', 'Hoffmann', 'Lindner', 'Groß'],
    language: 'German',
  },
  {
    country: 'Portugal',
    cities: ['Lisboa', 'Porto', 'Braga'],
    given: ['Inês', 'João', 'Marta', 'Rui', 'Sofia', 'Tiago'],
    family: ['Almeida', 'Ferreira', 'Gonçalves', 'Ribeiro', 'Sousa', 'Tavares'],
    language: 'Portuguese',
  },
  {
    country: 'India',
    cities: ['Bengaluru', 'Pune', 'Mumbai', 'Jaipur'],
    given: ['Aarav', 'Diya', 'Ishaan', 'Kavya', 'Meera', 'Rohan'],
    family: ['Iyer', 'Sharma', 'Patel', 'Rao', 'Banerjee', 'Kulkarni'],
    language: 'Hindi',
  },
  {
    country: 'Nigeria',
    cities: ['Lagos', 'Abuja', 'Ibadan'],
    given: ['Adaeze', 'Chidi', 'Folake', 'Ibrahim', 'Ngozi', 'Tunde'],
    family: ['Okafor', 'Balogun', 'Eze', 'Adeyemi', 'Nwosu', 'Bello'],
    language: 'Yoruba',
  },
  {
    country: 'Brazil',
    cities: ['São Paulo', 'Recife', 'Curitiba'],
    given: ['Ana', 'Bruno', 'Camila', 'Diego', 'Júlia', 'Thiago'],
    family: ['Silva', 'Souza', 'Araújo', 'Barbosa', 'Lima', 'Moreira'],
    language: 'Portuguese',
  },
  {
    country: 'Poland',
    cities: ['Kraków', 'Warszawa', 'Gdańsk'],
    given: ['Agnieszka', 'Jakub', 'Kasia', 'Michał', 'Ola', 'Piotr'],
    family: ['Kowalska', 'Nowak', 'Wiśniewska', 'Zieliński', 'Wójcik', 'Lewandowska'],
    language: 'Polish',
  },
  {
    country: 'Japan',
    cities: ['Kyoto', 'Tokyo', 'Fukuoka'],
    given: ['Aiko', 'Haruto', 'Mei', 'Ren', 'Sakura', 'Yuto'],
    family: ['Tanaka', 'Suzuki', 'Mori', 'Nakamura', 'Watanabe', 'Fujita'],
    language: 'Japanese',
  },
  {
    country: 'United Kingdom',
    cities: ['Leeds', 'London', 'Glasgow', 'Cardiff'],
    given: ['Alice', 'Callum', 'Freya', 'Owen', 'Priya', 'Rhys'],
    family: ['Baker', 'Campbell', 'Evans', 'Hughes', 'Patterson', 'Wood'],
    language: 'English',
  },
  {
    country: 'Mexico',
    cities: ['Oaxaca', 'Ciudad de México', 'Mérida'],
    given: ['Alejandra', 'Emiliano', 'Lucía', 'Mateo', 'Valeria', 'Óscar'],
    family: ['Hernández', 'García', 'Núñez', 'Ortega', 'Ramírez', 'Vega'],
    language: 'Spanish',
  },
  {
    country: 'Türkiye',
    cities: ['İstanbul', 'İzmir', 'Ankara'],
    given: ['Ayşe', 'Can', 'Defne', 'Emre', 'Elif', 'Mert'],
    family: ['Yılmaz', 'Demir', 'Çelik', 'Aydın', 'Öztürk', 'Şahin'],
    language: 'Turkish',
  },
  {
    country: 'Philippines',
    cities: ['Cebu', 'Manila', 'Davao'],
    given: ['Angelica', 'Carlo', 'Jasmine', 'Miguel', 'Paolo', 'Trisha'],
    family: ['Santos', 'Reyes', 'Cruz', 'Bautista', 'Ocampo', 'Villanueva'],
    language: 'Filipino',
  },
  {
    country: 'Canada',
    cities: ['Montréal', 'Toronto', 'Halifax'],
    given: ['Chloé', 'Ethan', 'Maya', 'Noah', 'Olivia', 'Étienne'],
    family: ['Tremblay', 'Gagnon', 'MacDonald', 'Singh', 'Roy', 'Leblanc'],
    language: 'French',
  },
];

export const REVIEWS: readonly { readonly rating: number; readonly text: string }[] = [
  { rating: 5, text: 'Understood the brief at once and asked the one question we had forgotten.' },
  { rating: 5, text: 'Delivered a day early, with notes that our team still uses.' },
  { rating: 5, text: 'Third order, and it will not be the last.' },
  { rating: 5, text: 'Better than what we paid an agency for.' },
  { rating: 5, text: 'Kind, quick, precise. The final files were in perfect order.' },
  { rating: 5, text: 'I could not have said what I wanted. Now I have it.' },
  { rating: 4, text: 'Very good work. The first draft was a bit safe, the second one was spot on.' },
  { rating: 4, text: 'Good result and fair price; answers took a day at times.' },
  { rating: 4, text: 'Solid work, exactly as described.' },
  { rating: 5, text: 'Our customers noticed. That had never happened before.' },
  { rating: 3, text: 'Fine in the end, after two more rounds than planned.' },
  { rating: 5, text: 'Calm under a deadline that was our own fault.' },
];

export const FAQ: readonly { readonly question: string; readonly answer: string }[] = [
  {
    question: 'What do you need to start?',
    answer: 'A few sentences about who it is for, and an example of something you like. I ask for the rest.',
  },
  {
    question: 'Can you deliver faster?',
    answer: 'Often. Write to me before you order and I will tell you honestly.',
  },
  {
    question: 'Who owns the result?',
    answer: 'You do, in full, as soon as the order is complete.',
  },
  { question: 'Do you sign a confidentiality agreement?', answer: 'Yes, yours or a short one of mine.' },
  {
    question: 'What if I do not like it?',
    answer: 'Then we look at why, and I try again; revisions are part of each package.',
  },
];
